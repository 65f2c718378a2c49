"""The units in which columns are clustered, and the way back to those of the file.

`Units` leaves columns as they are; `StandardDeviations` and `Degrees` change them. Each knows what a bandwidth of the
command line is in its units, and says so.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Units:
    """Columns as they are."""

    name = ""

    def into(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the columns in the units of the fit."""
        return X

    def bandwidth(self, value: Any) -> Any:
        """Return a bandwidth of the command line in the units of the fit; names stay as they are."""
        return value

    def shown(self, bandwidth: Any) -> Any:
        """Return a bandwidth of the fit in the units of the command line."""
        return bandwidth

    def back(self, centers: NDArray[Any]) -> NDArray[Any]:
        """Return centres in the units of the file."""
        return centers


class StandardDeviations(Units):
    """Columns of mean 0 and standard deviation 1."""

    name = "standard deviations of each column"

    def into(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return (x - mean) / standard deviation of each column."""
        from sklearn.preprocessing import StandardScaler

        self.scaler = StandardScaler()
        return self.scaler.fit_transform(X)

    def back(self, centers: NDArray[Any]) -> NDArray[Any]:
        """Undo `into`."""
        return self.scaler.inverse_transform(centers) if len(centers) else centers


class Degrees(Units):
    """Latitude and longitude in degrees, clustered in radians; the bandwidth is in degrees, too."""

    name = "degrees"

    def into(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return radians."""
        if X.shape[1] == 2 and (off := np.flatnonzero(np.abs(X[:, 0]) > 90.0)).size:
            raise ValueError(
                f"latitude {X[off[0], 0]:g} in row {off[0] + 1} of the data (counted from 1) is not between -90 and 90"
                f" degrees ({off.size} such in all); --columns takes latitude first, then longitude"
            )
        return np.radians(X)

    def bandwidth(self, value: Any) -> Any:
        """Return a number in radians."""
        return float(np.radians(value)) if isinstance(value, float) else value

    def shown(self, bandwidth: Any) -> Any:
        """Return degrees."""
        return np.degrees(bandwidth)

    def back(self, centers: NDArray[Any]) -> NDArray[Any]:
        """Return degrees."""
        return np.degrees(centers)
