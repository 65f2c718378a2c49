"""Tests; ``naive`` holds the plain references and the data they share."""
