// The tracked needle over the 3-D scene: drawn here at once, from where the picture's camera stood. Core white as needles
// are, its rim in the verdict's colour; where its place is not known there is none.

import { VERDICTS, hatched, outlined, plate } from "./drawing.js";
import { project } from "./geometry.js";

export function tracked(c, camera, nav, width, height) {
  const { t, ui } = nav, at = nav.liveAt, { now, running } = nav.guide.seen;
  if (!running) return;
  planned(c, camera, nav, width, height);
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

// The scene has the planned needle as if it were there: here it is but a plan.
function planned(c, camera, { way, t, ui }, width, height) {
  if (!way) return;
  const [hub, tip, target] = [way.hub_mm, way.tip_mm, way.target_mm].map((point) => project(camera, point, width, height));
  if (!hub || !tip || !target) return;
  line(c, hub, tip, [["rgba(11,15,20,.8)", 12], ["#E66BD3", 2.2]], [3, 6]);
  line(c, tip, target, [["rgba(11,15,20,.8)", 6], ["#E66BD3", 2.2]], [3, 6]);
  c.font = `600 ${12 * ui.text}px sans-serif`;
  const middle = [(hub[0] + tip[0]) / 2, Math.max((hub[1] + tip[1]) / 2 - 44 * ui.text, 40)];
  line(c, [middle[0], middle[1] + 8], [(hub[0] + tip[0]) / 2, (hub[1] + tip[1]) / 2 - 5], [["rgba(0,0,0,.6)", 2.5], ["#E66BD3", 1]], []);
  outlined(c, t.guide.planned, middle[0], middle[1], "center", "#E66BD3");
}

function line(c, [x0, y0], [x1, y1], inks, dash) {
  c.lineCap = "butt";
  for (const [ink, wide] of inks) {
    c.setLineDash(ink === inks[inks.length - 1][0] ? dash : []);
    c.strokeStyle = ink; c.lineWidth = wide; c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke();
  }
  c.setLineDash([]);
}
