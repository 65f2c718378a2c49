// The page: data are unpacked, plots embedded, and everything that depends on the bandwidth is shown anew when it moves.
const MANY = 5000; // points from which they are drawn as an image
const NEAR = 10; // pixels within which a point is told at the pointer
const HISTOGRAM = -1; // as the column that goes up: number of rows

const content = JSON.parse(document.getElementById("content").textContent);
const { data, palette } = content;
const PACKED = ["coordinates", "codes", "histories", "counts", "weights", "colors", "modes", "means", "deviations"];
const element = (id) => document.getElementById(id);
const shades = palette.map((hex) => parseInt(hex.slice(5) + hex.slice(3, 5) + hex.slice(1, 3), 16));
const d = data.names.length, n = data.drawn, m = data.bandwidths.length;
const raster = new Raster();
let arrays, map, stability, firsts, firstRows, view = {};

const row = (k) => Math.floor(((2 * k + 1) * data.n) / (2 * n)); // of a drawn point
const label = (row) => arrays.histories[stop() * arrays.kinds + arrays.codes[row]];
const stop = () => Number(element("bandwidth").value);
const color = (cluster) => arrays.colors[firsts[stop()] + cluster];
const short = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(5))) : "");
const counted = (k, thing) => `${k.toLocaleString("en")} ${thing}${k === 1 ? "" : "s"}`;
const named = (doc, name) => doc.get_model_by_name(name);

async function start() {
  const values = await Promise.all(PACKED.map((name) => unpack(data[name])));
  arrays = Object.fromEntries(PACKED.map((name, i) => [name, values[i]]));
  arrays.kinds = arrays.histories.length / m;
  firsts = [0], firstRows = [0]; // of the clusters of each bandwidth, among all, and among those described
  for (const size of data.sizes) {
    firsts.push(firsts.at(-1) + size);
    firstRows.push(firstRows.at(-1) + Math.min(size, data.rows));
  }
  [map, stability] = await Promise.all(["map", "stability"].map(embed));
  element("y").value = d > 1 ? "1" : String(HISTOGRAM);
  element("bandwidth").addEventListener("input", moved);
  for (const id of ["x", "y"]) element(id).addEventListener("change", chooseColumns);
  element("all").addEventListener("change", showTable);
  element("export").addEventListener("click", save);
  watchPlots();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", dress);
  dress();
  chooseColumns();
  await map.view.ready;
  performance.mark("explore-drawn");
}

async function embed(id) {
  const found = await Bokeh.embed.embed_item(content[id], id);
  const doc = Bokeh.documents.at(-1), plot = doc.roots()[0];
  return { doc, plot, view: found.get_one ? found.get_one(plot) : found };
}

// ---------------------------------------------------------------------------------------------- the bandwidth

async function moved(event) {
  const began = event.timeStamp;
  show();
  await map.view.ready; // the frame that is measured has the new colours
  requestAnimationFrame(() => performance.measure("explore-step", { start: began, end: performance.now() }));
}

function show() {
  const h = data.bandwidths[stop()], size = data.sizes[stop()];
  const from = firsts[stop()], total = sum(arrays.weights, from, from + size);
  const heavy = arrays.weights.subarray(from, from + size).filter((w) => w >= 0.02 * total).length;
  element("value").textContent = short(h) + (stop() === data.start ? " (chosen)" : "");
  element("bandwidth").setAttribute("aria-valuetext", `bandwidth ${short(h)}, ${counted(size, "cluster")}`);
  element("summary").textContent = `${counted(size, "cluster")} of ${counted(data.n, "row")}` +
    (heavy < size ? `; ${heavy} with 2 % or more` : "");
  named(stability.doc, "now").location = h;
  showPoints();
  showModes();
  showTable();
  element("tip").hidden = true;
  named(map.doc, "under").data = { x: [], y: [] };
}

const sum = (array, from, to) => { let s = 0; for (let i = from; i < to; i++) s += array[i]; return s; };

// --------------------------------------------------------------------------------------------------- the map

function chooseColumns() {
  const x = Number(element("x").value), y = Number(element("y").value);
  const column = (c) => arrays.coordinates.subarray(c * n, (c + 1) * n);
  const scale = (c) => {
    const low = data.lows[c], span = data.highs[c] - low;
    return span > 0 ? { low, unit: span / 65535 } : { low: low - 0.5, unit: 1 / 65535 };
  };
  view = { x: column(x), sx: scale(x) };
  if (y === HISTOGRAM) Object.assign(view, pile(view.x));
  else Object.assign(view, { y: column(y), sy: scale(y) });
  for (const [range, { low, unit }] of [[map.plot.x_range, view.sx], [map.plot.y_range, view.sy]]) {
    const ends = { start: low - 2500 * unit, end: low + 68035 * unit };
    range.setv({ ...ends, reset_start: ends.start, reset_end: ends.end });
  }
  map.plot.below[0].axis_label = data.names[x];
  map.plot.left[0].axis_label = y === HISTOGRAM ? "rows in a bin" : data.names[y];
  look();
  show();
}

function pile(x) { // points on top of each other in 128 bins: a histogram
  const heights = new Uint32Array(128), ranks = Uint32Array.from(x, (q) => heights[q >> 9]++);
  const most = heights.reduce((a, b) => Math.max(a, b), 1);
  return { y: Float64Array.from(ranks, (r) => (r * 65535) / most), sy: { low: 0, unit: most / 65535 } };
}

function look() { // which pixel each point falls into
  const { x_range, y_range, inner_width, inner_height } = map.plot;
  if (n <= MANY || !view.x || !(inner_width > 0)) return;
  const ends = (range, { low, unit }) => [(range.start - low) / unit, (range.end - low) / unit];
  const box = [...ends(x_range, view.sx), ...ends(y_range, view.sy)];
  raster.look(view.x, view.y, box, Math.round(inner_width), Math.round(inner_height));
}

function showPoints() {
  if (n <= MANY) {
    const place = (values, { low, unit }) => Float64Array.from(values, (q) => low + q * unit);
    const colors = Float64Array.from({ length: n }, (_, k) => color(label(row(k))));
    named(map.doc, "points").data = { x: place(view.x, view.sx), y: place(view.y, view.sy), color: colors };
    return;
  }
  if (!raster.filled) return;
  const ofHistory = new Uint32Array(arrays.kinds), labels = stop() * arrays.kinds, all = n === data.n;
  for (let k = 0; k < arrays.kinds; k++) ofHistory[k] = shades[color(arrays.histories[labels + k])];
  const { x_range, y_range } = map.plot, source = named(map.doc, "image"), Image = source.data.image[0].constructor;
  const image = new Image(raster.paint((k) => ofHistory[arrays.codes[all ? k : row(k)]]), [raster.height, raster.width]);
  source.data = { image: [image], x: [x_range.start], y: [y_range.start], w: [x_range.end - x_range.start],
    h: [y_range.end - y_range.start] };
}

function showModes() {
  const x = Number(element("x").value), y = Number(element("y").value), at = { x: [], y: [] };
  for (let c = firstRows[stop()]; c < firstRows[stop() + 1]; c++) {
    at.x.push(arrays.modes[c * d + x]);
    at.y.push(y === HISTOGRAM ? 0 : arrays.modes[c * d + y]);
  }
  named(map.doc, "modes").data = at;
}

function tell(event) { // the point at the pointer
  const { x_range, y_range, inner_width, inner_height } = map.plot;
  const px = inner_width / (x_range.end - x_range.start), py = inner_height / (y_range.end - y_range.start);
  let best = NEAR * NEAR, found = -1;
  for (let k = 0; k < n; k++) {
    const u = (view.sx.low + view.x[k] * view.sx.unit - event.x) * px;
    const v = (view.sy.low + view.y[k] * view.sy.unit - event.y) * py;
    if (u * u + v * v < best) { best = u * u + v * v; found = k; }
  }
  const tip = element("tip"), under = named(map.doc, "under");
  tip.hidden = found < 0;
  if (found < 0) { if (under.data.x.length) under.data = { x: [], y: [] }; return; }
  const value = (c) => data.lows[c] + (arrays.coordinates[c * n + found] * (data.highs[c] - data.lows[c])) / 65535;
  const lines = data.names.slice(0, 12).map((name, c) => `${name}: ${short(value(c))}`);
  tip.textContent = [`row ${row(found)}, cluster ${label(row(found))}`, ...lines].join("\n");
  tip.style.left = `${Math.min(event.sx + 16, element("map").clientWidth - tip.offsetWidth)}px`;
  tip.style.top = `${event.sy + 16}px`;
  under.data = { x: [view.sx.low + view.x[found] * view.sx.unit], y: [view.sy.low + view.y[found] * view.sy.unit] };
}

function watchPlots() {
  let waiting = false;
  const lookAgain = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; look(); showPoints(); });
  };
  const { x_range, y_range } = map.plot;
  for (const range of [x_range, y_range]) range.change.connect(lookAgain);
  for (const side of ["inner_width", "inner_height"]) map.plot.properties[side].change.connect(lookAgain);
  map.plot.on_event("mousemove", tell);
  map.plot.on_event("mouseleave", () => { element("tip").hidden = true; });
  stability.plot.on_event("tap", ({ x }) => {
    const far = data.bandwidths.map((h) => Math.abs(Math.log(h / x)));
    element("bandwidth").value = far.indexOf(Math.min(...far));
    element("bandwidth").dispatchEvent(new Event("input"));
  });
}

// ------------------------------------------------------------------------------------------------- the table

function showTable() {
  const chosen = [...new Set([Number(element("x").value), Number(element("y").value)])].filter((c) => c >= 0);
  const columns = element("all").checked ? data.names.map((_, c) => c) : chosen;
  const table = element("clusters"), from = firsts[stop()], first = firstRows[stop()];
  const total = sum(arrays.weights, from, firsts[stop() + 1]), shown = firstRows[stop() + 1] - first;
  table.tHead.replaceChildren(
    line("th", [["cluster", 2], ["rows", 2], [data.weighted ? "share of weight" : "share", 2], ...columns.map((c) => [data.names[c], 1, 3])]),
    line("th", columns.flatMap(() => ["mode", "mean", "std"])));
  const rows = [];
  for (let k = 0; k < shown; k++) {
    const at = (array) => columns.map((c) => short(array[(first + k) * d + c]));
    const [modes, means, deviations] = [arrays.modes, arrays.means, arrays.deviations].map(at);
    const share = `${((100 * arrays.weights[from + k]) / total).toFixed(2)} %`;
    const cells = [k, arrays.counts[from + k].toLocaleString("en"), share];
    const made = line("td", [...cells, ...columns.flatMap((_, i) => [modes[i], means[i], deviations[i]])]);
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = palette[color(k)];
    made.firstChild.prepend(swatch);
    rows.push(made);
  }
  table.tBodies[0].replaceChildren(...rows);
  const more = data.sizes[stop()] - shown;
  element("more").textContent = more ? `and ${counted(more, "smaller cluster")}` : "";
}

function line(tag, cells) { // words, or words with how many rows and columns they span
  const made = document.createElement("tr");
  for (const cell of cells) {
    const [words, rows = 1, columns = 1] = Array.isArray(cell) ? cell : [cell];
    const one = document.createElement(tag);
    one.textContent = words;
    if (tag === "th") one.scope = columns > 1 ? "colgroup" : "col";
    if (rows > 1) one.rowSpan = rows;
    if (columns > 1) one.colSpan = columns;
    made.append(one);
  }
  return made;
}

// -------------------------------------------------------------------------------------------- CSV, and colours

function save() {
  const parts = ["row,label\n"];
  for (let begin = 0; begin < data.n; begin += 65536) {
    let text = "";
    for (let i = begin; i < Math.min(begin + 65536, data.n); i++) text += `${i},${label(i)}\n`;
    parts.push(text);
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
  link.download = `labels-bandwidth-${short(data.bandwidths[stop()])}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function dress() { // the plots take the colours of the page
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
  const ink = of("--ink"), faint = of("--faint"), ground = of("--ground"), rule = of("--line");
  for (const { plot } of [map, stability]) {
    plot.setv({ border_fill_color: ground, outline_line_color: rule }); // a see-through border would keep old ticks
    for (const axis of [...plot.below, ...plot.left])
      axis.setv({ axis_label_text_color: ink, axis_label_text_font_style: "normal", major_label_text_color: faint,
        axis_line_color: rule, major_tick_line_color: rule, minor_tick_line_color: null });
    for (const part of plot.center) {
      if ("grid_line_color" in part.attributes) part.grid_line_color = rule;
      if ("label_text_color" in part.attributes) part.label_text_color = ink;
    }
  }
  named(stability.doc, "now").line_color = ink;
  named(map.doc, "ring").glyph.line_color = ink;
}

start();
