// What is written over the 3-D scene about a second image: what lies over what, by what tie, how far off, its colours.

import { plate, shortened } from "./drawing.js";

// Words in lines of at most so many pixels.
function broken(c, words, wide) {
  const lines = [];
  for (const word of words.split(" ")) {
    const last = lines.length - 1, longer = last < 0 ? word : `${lines[last]} ${word}`;
    if (last >= 0 && c.measureText(longer).width <= wide) lines[last] = longer; else lines.push(word);
  }
  return lines;
}

const SMALL_PX = 720;  // in a picture no wider each line is cut to one; windows and the whole reason stand beside it

// told: as navplan.view.fusion_writing.fused_told gives it; at: the pixel of a point, or null.
export function drawSecond(c, told, { width, height, text, at }) {
  const small = width < SMALL_PX, step = 16 * text, left = 8, wide = small ? width - 16 : Math.min(360 * text, 0.46 * width), inner = wide - 16;
  const cut = (words, room) => (small ? [shortened(c, words, room)] : broken(c, words, room));
  c.save();
  c.textBaseline = "alphabetic";
  c.textAlign = "left";
  c.font = `${12 * text}px sans-serif`;
  const lines = told.lines.filter((_, n) => !small || n !== 1).flatMap(([words, tint]) => cut(words, inner).map((line) => ({ line, tint })));
  const rows = told.rows.flatMap(([words, tint]) => cut(words, inner - 22 * text).map((line, n) => ({ line, tint: "#E8EDF2", swatch: n ? "" : tint })));
  const tall = step * (lines.length + rows.length + (told.bar ? 1 : 0)) + 10;
  c.fillStyle = "rgba(24, 32, 42, 0.88)";
  c.fillRect(left, 8, wide, tall);
  let y = 8 + step;
  for (const { line, tint } of lines) { c.fillStyle = tint; c.fillText(line, left + 8, y); y += step; }
  if (told.bar) {
    const { colours, low, high } = told.bar, start = left + 14 + c.measureText(low).width, end = left + wide - 14 - c.measureText(high).width;
    c.fillStyle = "#E8EDF2"; c.fillText(low, left + 8, y); c.fillText(high, end + 6, y);
    const part = (end - start) / colours.length;
    colours.forEach((tint, n) => { c.fillStyle = tint; c.fillRect(start + n * part, y - 9 * text, part + 0.6, 10 * text); });
    c.strokeStyle = "#9AA5B1"; c.lineWidth = 1; c.strokeRect(start, y - 9 * text, end - start, 10 * text);
    y += step;
  }
  for (const { line, tint, swatch } of rows) {
    if (swatch) for (const n of [0, 2]) { c.fillStyle = swatch; c.fillRect(left + 8 + n * 4 * text, y - 9 * text, 4 * text, 10 * text); }
    c.fillStyle = tint; c.fillText(line, left + 30 * text, y); y += step;
  }
  c.restore();
  const taken = [], below = 8 + tall;
  for (const one of told.labels) {
    const seen = at(one.at);
    if (!seen || seen[0] < 0 || seen[1] < 0 || seen[0] > width || seen[1] > height) continue;
    const words = small ? one.title : `${one.title}: ${one.detail}`, long = c.measureText(words).width + 14;
    const x = Math.min(Math.max(seen[0] + 40, 8), Math.max(width - long - 8, 8));
    let down = Math.max(Math.min(seen[1] + 40, height - 80), x < left + wide ? below + 14 : 0);
    while (taken.some((other) => Math.abs(other - down) < 24 * text)) down += 25 * text;
    taken.push(down);
    c.strokeStyle = one.tint; c.lineWidth = 1.2;
    c.beginPath(); c.moveTo(...seen); c.lineTo(x, down); c.stroke();
    plate(c, words, x + 6, down, 1, one.tint);
  }
}
