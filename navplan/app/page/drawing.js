// What the canvases of all views share: their size, their greys, words on dark ground.

export const VERDICTS = { PASS: "#2BB88A", WARN: "#E69F00", FAIL: "#FF6B4A", NOT_EVALUATED: "#9AA5B1" };

// Keeps a canvas as sharp as the screen and as large as its place; resized: called after. Returns what ends it.
export function fitted(canvas, resized) {
  const observer = new ResizeObserver(() => {
    const dpr = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * dpr));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * dpr));
    resized();
  });
  observer.observe(canvas);
  return () => observer.disconnect();
}

// Values in a window of grey (low: the value that is black), on a canvas of their own size; nothing: not known, black.
// kept: a canvas of before, used again: the browser is slow to give back those that are thrown away.
export function inGrey({ width, height, values, nothing }, low, gain, kept) {
  const canvas = kept || new OffscreenCanvas(width, height), c = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const data = c.createImageData(width, height), rgba = new Uint32Array(data.data.buffer);
  for (let n = 0; n < values.length; n++) {
    const grey = values[n] === nothing ? 0 : Math.min(255, Math.max(0, Math.round((values[n] - low) * gain)));
    rgba[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  c.putImageData(data, 0, 0);
  return canvas;
}

export const windowed = (picture, [level, width], kept) => inGrey(picture, (level - width / 2) / picture.step, (255 * picture.step) / width, kept);

export function outlined(c, words, x, y, align, tint) {
  c.textAlign = align; c.textBaseline = "middle"; c.lineJoin = "round";
  c.strokeStyle = "rgba(0,0,0,.85)"; c.lineWidth = 3.5; c.strokeText(words, x, y);
  c.fillStyle = tint; c.fillText(words, x, y);
}

// As much of the words as fits.
export function shortened(c, words, wide) {
  if (c.measureText(words).width <= wide) return words;
  let kept = words;
  while (kept && c.measureText(`${kept}…`).width > wide) kept = kept.slice(0, -1);
  return `${kept}…`;
}

export function plate(c, words, x, y, dpr, tint) {
  const wide = c.measureText(words).width;
  c.fillStyle = "rgba(24,32,42,.88)";
  c.fillRect(x - 4 * dpr, y - 10 * dpr, wide + 8 * dpr, 20 * dpr);
  c.fillStyle = tint; c.textAlign = "left"; c.textBaseline = "middle"; c.fillText(words, x, y);
}

// "Do not trust this": stripes over a picture, and words on a plate. place: width, height, and where the words stand.
export function hatched(c, { width, height, x, y }, words, text) {
  c.save();
  c.fillStyle = "rgba(11,15,20,.45)";
  c.fillRect(0, 0, width, height);
  c.strokeStyle = "rgba(154,165,177,.3)"; c.lineWidth = 5;
  c.beginPath();
  for (let from = -height; from < width; from += 22) { c.moveTo(from, height); c.lineTo(from + height, 0); }
  c.stroke();
  if (words) {
    c.font = `700 ${15 * text}px sans-serif`;
    const wide = c.measureText(words).width + 28;
    c.fillStyle = "#c3cad2"; c.fillRect(x - wide / 2, y - 15 * text, wide, 30 * text);
    c.fillStyle = "#0b0f14"; c.textAlign = "center"; c.textBaseline = "middle"; c.fillText(words, x, y);
  }
  c.restore();
}

// Outlines in pieces of a line, as a path in mm about the middle of their picture.
export function pathOf(pieces, p) {
  const path = new Path2D(), [sx, sy] = p.pixel_mm, x0 = (p.width - 1) / 2, y0 = (p.height - 1) / 2;
  for (let n = 0; n < pieces.length; n += 4) {
    if (!n || pieces[n] !== pieces[n - 2] || pieces[n + 1] !== pieces[n - 1]) path.moveTo((pieces[n] - x0) * sx, (pieces[n + 1] - y0) * sy);
    path.lineTo((pieces[n + 2] - x0) * sx, (pieces[n + 3] - y0) * sy);
  }
  return path;
}
