// A second image over a slice, drawn from its values as navplan/view/fusion.py draws it, so that window, colours and
// share wait for nobody.

const BLACK = [0, 0, 0], QUIET = [154, 165, 177];

// 256 colours of a map, as [r, g, b].
function table(stops) {
  return Array.from({ length: 256 }, (_, n) => {
    const at = n / 255, above = Math.max(1, stops.findIndex(([place]) => place >= at)), [a, low] = stops[above - 1], [b, high] = stops[above];
    return low.map((part, k) => part + ((high[k] - part) * (at - a)) / (b - a));
  });
}

const shareOf = (value, step, [level, width]) => Math.min(1, Math.max(0, (value * step - (level - width / 2)) / width));

// The picture p (with p.over, p.second) in the first image's window. how: mode, alpha, window, map, cell, splitAt (mm right
// of the middle), voxel_mm of the second; drawing: of the document. On a canvas of the picture's own size.
export function laidOver(p, window, how, drawing, kept) {
  const { width, height, values, second, nothing } = p, [px, py] = p.pixel_mm, canvas = kept || new OffscreenCanvas(width, height);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const c = canvas.getContext("2d"), data = c.createImageData(width, height), out = data.data, colours = table(drawing.maps[how.map]);
  const strength = how.mode === "edges" ? edges(p, how, drawing) : null, every = Math.max(4, Math.round(drawing.stripes_mm / px)), s = drawing.stripes_share;
  for (let y = 0, n = 0; y < height; y++) {
    const down = (y - (height - 1) / 2) * py;
    for (let x = 0; x < width; x++, n++) {
      const right = (x - (width - 1) / 2) * px, known = second[n] !== nothing, here = values[n] !== nothing;
      const grey = here ? Math.round(255 * shareOf(values[n], p.step, window)) : 0;
      let share, top = known ? colours[Math.round(255 * shareOf(second[n], p.over.step, how.window))] : BLACK;
      if (how.mode === "split") share = right > how.splitAt ? 1 : 0;
      else if (how.mode === "checkerboard") share = (((Math.floor(right / how.cell) + Math.floor(down / how.cell)) % 2) + 2) % 2;
      else if (!known) share = 0;
      else if (strength) { share = strength[n]; top = drawing.edge_rgb; }
      else share = how.alpha;
      const striped = !known && here && (x + y) % every === 0;
      for (let k = 0; k < 3; k++) {
        const mixed = grey * (1 - share) + top[k] * share;
        out[4 * n + k] = striped ? mixed * (1 - s) + QUIET[k] * s : mixed;
      }
      out[4 * n + 3] = 255;
    }
  }
  c.putImageData(data, 0, 0);
  return canvas;
}

// Where the second image changes steeply, 0 to 1 a pixel.
function edges(p, how, drawing) {
  const { width, height, second, nothing } = p, size = width * height, [px, py] = p.pixel_mm;
  let smooth = new Float32Array(size), known = new Uint8Array(size);
  for (let n = 0; n < size; n++) { known[n] = second[n] === nothing ? 0 : 1; smooth[n] = known[n] ? shareOf(second[n], p.over.step, how.window) : 0; }
  const along = (values, by, find) => {
    const found = new values.constructor(size), row = by === 1;
    for (let y = 0, n = 0; y < height; y++) for (let x = 0; x < width; x++, n++) {
      const low = (row ? x : y) > 0 ? n - by : n, high = (row ? x < width - 1 : y < height - 1) ? n + by : n;
      found[n] = find(values[low], values[n], values[high]);
    }
    return found;
  };
  const three = (values, by) => along(values, by, (a, b, d) => a & b & d);
  for (const [by, pixel] of [[1, px], [width, py]]) {
    const passes = Math.min(Math.max(Math.round(2 * ((drawing.edge_blur * how.voxel_mm) / pixel) ** 2), 1), drawing.most_passes);
    for (let n = 0; n < passes; n++) { smooth = along(smooth, by, (a, b, d) => (a + 2 * b + d) / 4); known = three(known, by); }
  }
  known = three(three(known, width), 1);
  const gx = new Float32Array(size), gy = new Float32Array(size), steep = new Float32Array(size);
  for (let y = 0, n = 0; y < height; y++) for (let x = 0; x < width; x++, n++) {
    if (x && x < width - 1) gx[n] = (smooth[n + 1] - smooth[n - 1]) / 2;
    if (y && y < height - 1) gy[n] = (smooth[n + width] - smooth[n - width]) / 2;
    steep[n] = known[n] ? Math.hypot(gx[n] / px, gy[n] / py) * how.voxel_mm : 0;
  }
  let found = new Float32Array(size);
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : steep[y * width + x]);
  for (let y = 0, n = 0; y < height; y++) for (let x = 0; x < width; x++, n++) {
    if (steep[n] <= drawing.edge_from) continue;
    const [dx, dy] = [[1, 0], [1, 1], [0, 1], [-1, 1]][((Math.round(Math.atan2(gy[n], gx[n]) / (Math.PI / 4)) % 4) + 4) % 4];
    if (steep[n] > at(x + dx, y + dy) && steep[n] >= at(x - dx, y - dy)) found[n] = Math.min(1, (steep[n] - drawing.edge_from) / (drawing.edge_full - drawing.edge_from));
  }
  for (const [by, pixel] of [[1, px], [width, py]]) for (let n = 1; n < Math.round(drawing.edge_mm / pixel); n++) found = along(found, by, (a, b) => Math.max(a, b));
  return found;
}

export const written = (value, quantity) => `${quantity === "SUV" ? value.toFixed(2) : Math.abs(value) >= 100 || Number.isInteger(value) ? Math.round(value) : Number(value.toPrecision(3))} ${quantity}`;

// What stands with a slice that a second image lies over: lines of words and tint.
export function saidOver(p, nav) {
  const { t } = nav, f = t.fusion, over = nav.over;
  if (!over || !p) return [];
  if (over.mode !== "beside" && !p.over) return [[nav.ui.slab > 0 ? f.no_slab : p.over_refused ? nav.filled(f.refused, { ...over, why: p.over_refused }) : nav.filled(f.coming, over), "#f0b030"]];
  const [level, width] = over.window, [low, high] = [level - width / 2, level + width / 2].map((value) => Number(value.toPrecision(4)));
  const lines = [[nav.filled(f.laid, { ...over, how: f.modes[over.mode], low, high }), "#E8EDF2"], [`${over.symbol} ${over.words}`, over.tint]];
  if (over.kind) lines.push([nav.errorWords, over.tint]);
  if (over.mode !== "beside" && (p.missing ??= p.second.some((value, n) => value === p.nothing && p.values[n] !== p.nothing))) lines.push([nav.filled(f.striped, over), "#E8EDF2"]);
  return lines;
}

// The values of both images at the cursor: of the first its voxel's, of the second that between its voxels.
export function valuesAt(p, nav, first) {
  return [first === null ? nav.t.outside_image : written(first * p.step, nav.doc.case.quantity), ...(nav.over ? [`${nav.over.image} ${nav.secondWords}`] : [])];
}
