// The tracked needle over the 3-D scene: drawn here at once, from where the picture's camera stood. Core white as needles
// are, its rim in the verdict's colour; where its place is not known there is none.

import { VERDICTS, hatched, outlined, plate } from "./drawing.js";
import { project } from "./geometry.js";

export function tracked(c, camera, nav, width, height) {
  const { t, ui } = nav, at = nav.liveAt, { now, running } = nav.guide.seen;
  if (!running) return;
  if (!at) { hatched(c, { width, height, x: width / 2, y: 30 * ui.text }, t.guide.no_place, ui.text); return; }
  const [hub, tip, end] = [at.hub_mm, at.tip_mm, at.end_mm].map((point) => project(camera, point, width, height));
  if (!hub || !tip || !end) return;
  const rim = VERDICTS[now.verdict], doubted = now.verdict === "NOT_EVALUATED";
  line(c, tip, end, [["rgba(0,0,0,.8)", 4], [rim, 2]], [8, 6]);
  line(c, hub, tip, [["rgba(0,0,0,.85)", 9], [rim, 7], [doubted ? "#9AA5B1" : "#F4F8FF", 3.5]], doubted ? [4, 4] : []);
  for (const [ink, wide] of [["#000", 7], [rim, 5.5], ["#F4F8FF", 3]]) { c.fillStyle = ink; c.beginPath(); c.arc(tip[0], tip[1], wide, 0, 7); c.fill(); }
  c.font = `600 ${13 * ui.text}px sans-serif`;
  const words = `${now.symbol} ${t.guide.tracked}`, left = hub[0] < width / 2;
  plate(c, words, Math.min(Math.max(left ? hub[0] + 14 : hub[0] - c.measureText(words).width - 14, 8), width - c.measureText(words).width - 8), Math.min(Math.max(hub[1], 40), height - 60), 1, doubted ? "#c3cad2" : "#F4F8FF");
  if (doubted) outlined(c, t.guide.distrust, width / 2, 20 * ui.text, "center", "#c3cad2");
}

function line(c, [x0, y0], [x1, y1], inks, dash) {
  c.lineCap = "butt";
  for (const [ink, wide] of inks) {
    c.setLineDash(ink === inks[inks.length - 1][0] ? dash : []);
    c.strokeStyle = ink; c.lineWidth = wide; c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke();
  }
  c.setLineDash([]);
}
