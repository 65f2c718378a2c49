// Many points as an image: each pixel knows how many points it holds and one of them, drawn by chance. Which pixel a
// point falls into depends on the view alone, so that a new bandwidth only paints the filled pixels anew.
const FAINTEST = 0.35; // opacity of a pixel with one point, where the fullest has 1
const DOTS = [[1, 2], [2, 20]]; // radius of a dot where pixels are more than so many times as many as points

class Raster {
  // x and y: 0 to 65535; view: left, right, bottom, top in the same units; the image is width by height pixels
  look(x, y, view, width, height) {
    const pixels = width * height, counts = new Uint32Array(pixels), n = x.length;
    Object.assign(this, { width, height, top: new Uint32Array(pixels) });
    const scaleX = width / (view[1] - view[0]), scaleY = height / (view[3] - view[2]);
    const radius = DOTS.reduce((r, [radius, times]) => (pixels / n > times ? radius : r), 0);
    let i = 0;
    const stride = coprime(n); // rows come in an order that has nothing to do with theirs
    for (let k = 0; k < n; k++, i = (i + stride) % n) {
      const px = Math.floor((x[i] - view[0]) * scaleX), py = Math.floor((y[i] - view[2]) * scaleY);
      if (px < radius || py < radius || px >= width - radius || py >= height - radius) continue;
      for (let v = -radius; v <= radius; v++)
        for (let u = -radius; u <= radius; u++) {
          if (u * u + v * v > radius * radius + 1) continue;
          const pixel = (py + v) * width + px + u;
          counts[pixel]++;
          this.top[pixel] = i;
        }
    }
    this.weigh(counts);
  }

  weigh(counts) { // keeps the filled pixels, and how opaque each is
    const filled = [];
    let most = 1;
    for (let pixel = 0; pixel < counts.length; pixel++)
      if (counts[pixel]) { filled.push(pixel); if (counts[pixel] > most) most = counts[pixel]; }
    const tally = new Uint32Array(most + 1);
    for (const pixel of filled) tally[counts[pixel]]++;
    let full = most, above = 0; // a few full pixels do not fade the rest
    while (full > 1 && (above += tally[full]) < 0.005 * filled.length) full--;
    const scale = (1 - FAINTEST) / Math.max(Math.log1p(full) - Math.LN2, 1e-9);
    this.filled = Uint32Array.from(filled);
    this.opacity = this.filled.map((pixel) => {
      const alpha = full > 1 ? FAINTEST + scale * (Math.log1p(counts[pixel]) - Math.LN2) : 0.85;
      return Math.round(255 * Math.min(1, alpha)) << 24;
    });
  }

  paint(colorOfPoint) { // 0xbbggrr of a point
    const image = new Uint32Array(this.width * this.height);
    const { filled, opacity, top } = this;
    for (let k = 0; k < filled.length; k++) image[filled[k]] = colorOfPoint(top[filled[k]]) | opacity[k];
    return image;
  }
}

function coprime(n) {
  const divides = (a, b) => (b ? divides(b, a % b) : a);
  let stride = Math.max(1, Math.round(0.618034 * n));
  while (divides(stride, n) !== 1) stride++;
  return stride;
}
