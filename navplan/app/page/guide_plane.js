// A plane that follows the tracked needle. The image comes from the server as fast as it can; the needle is drawn over it
// where it is now. Where its place is not known there is no picture of before.

import { Latest, get, unpacked } from "./api.js";
import { fitted, hatched, outlined, pathOf, windowed } from "./drawing.js";
import { onPlane } from "./geometry.js";

const LATE_MS = 1000;  // a picture that is older is not shown as one of the needle
const EVERY_MS = 120;  // frames come first: they share the server with these

export default {
  props: { kind: String },
  inject: ["nav"],
  template: `
    <section class="np-view" :class="{ 'np-big': nav.ui.big === kind }" :data-view="kind">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="nav.t.views[kind] + ', ' + nav.t.guide.follows" @dblclick="nav.enlarge(kind)" @keydown.enter="nav.enlarge(kind)"></canvas>
    </section>`,
  created() {
    this.picture = null;
    this.request = new Latest(async (what) => { const answer = await get("guide/plane", what.args); return answer.status === 204 ? null : unpacked(answer); }, (picture, what) => this.got(picture, what), () => {});
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    const nav = this.nav;
    this.stops = [
      fitted(this.$refs.canvas, () => this.draw()),
      Vue.watch(() => nav.guide.seen.now, () => this.follow()),
      Vue.watch(() => [nav.ui.window, nav.ui.outlines, nav.doc.looks, nav.ui.text], () => this.redraw(), { deep: true }),
    ];
    this.follow();
  },
  unmounted() { this.stops.forEach((stop) => stop()); this.request.close(); cancelAnimationFrame(this.waiting); },
  methods: {
    follow() {
      if (!this.nav.liveAt) this.picture = null;
      else if (!(performance.now() - this.followed < EVERY_MS)) {
        this.followed = performance.now();
        const { clientWidth, clientHeight } = this.$refs.canvas;
        this.request.ask({ args: { kind: this.kind, shape: (clientWidth / (clientHeight || 1)).toFixed(3) }, asked: performance.now() });
      }
      this.redraw();
    },
    got(picture, what) {
      if (!picture || !this.nav.liveAt) return;
      this.picture = picture;
      this.asked = what.asked;
      this.image = null;
      this.paths = picture.outlines.map(({ name, pieces }) => ({ name, path: pathOf(pieces, picture) }));
      this.redraw();
      this.nav.timed("guide plane", performance.now() - what.asked);
    },
    redraw() { this.waiting ||= requestAnimationFrame(() => { this.waiting = 0; this.draw(); }); },
    draw() {
      const canvas = this.$refs.canvas, c = this.context, { nav } = this, { t } = nav, p = this.picture, at = nav.liveAt;
      if (!canvas) return;
      const dpr = window.devicePixelRatio || 1, width = canvas.width / dpr, height = canvas.height / dpr, text = nav.ui.text;
      c.setTransform(dpr, 0, 0, dpr, 0, 0);
      c.fillStyle = "#000";
      c.fillRect(0, 0, width, height);
      c.font = `600 ${12 * text}px sans-serif`;
      const late = p && performance.now() - this.asked > LATE_MS;
      const doubted = !at || !p || late || nav.guide.seen.now.verdict === "NOT_EVALUATED";
      if (at && p && !late) this.drawNeedle(c, p, at, width, height, doubted);
      if (doubted) {
        const words = !nav.guide.seen.running ? t.guide.off : !at ? t.guide.no_place : !p || late ? t.guide.picture_late : t.guide.distrust;
        hatched(c, { width, height, x: width / 2, y: height / 2 }, words, text);
      }
      outlined(c, t.views[this.kind], 10, 14, "left", "#E8EDF2");
    },
    drawNeedle(c, p, at, width, height, doubted) {
      const { nav } = this, key = nav.ui.window.join();
      if (!this.image || this.imageKey !== key) { this.kept = this.image = windowed(p, nav.ui.window, this.kept); this.imageKey = key; }
      const wide = p.width * p.pixel_mm[0], tall = p.height * p.pixel_mm[1], s = Math.min(width / wide, height / tall);
      c.imageSmoothingQuality = "high";
      c.drawImage(this.image, width / 2 - (wide / 2) * s, height / 2 - (tall / 2) * s, wide * s, tall * s);
      if (nav.ui.outlines) this.drawOutlines(c, s, width, height);
      const on = (point) => { const [u, v, w] = onPlane(p, point); return [width / 2 + u * s, height / 2 + v * s, w]; };
      const planned = nav.guide.seen.now.planned, tint = doubted ? "#9AA5B1" : "#F4F8FF";
      const [hub, tip, end, entry, target] = [at.hub_mm, at.tip_mm, at.end_mm, planned.entry, planned.target].map(on);
      const thick = Math.max(3, planned.diameter_mm * s);
      if (this.kind !== "across") {
        line(c, entry, target, "rgba(230,107,211,.9)", 1.5, [3, 5]);
        line(c, tip, end, tint, 2, [7, 5]);
        line(c, hub, tip, tint, thick, []);
      } else for (const [ink, wide_px] of [["#000", thick / 2 + 3], [tint, Math.max(thick / 2, 3)]]) { c.fillStyle = ink; c.beginPath(); c.arc(tip[0], tip[1], wide_px, 0, 7); c.fill(); }
      ring(c, target, "#E66BD3", 6);
      if (this.kind !== "across") ring(c, entry, "#8FBEFF", 7);
      c.font = `700 ${13 * nav.ui.text}px sans-serif`;
      const [left, right, top, bottom] = p.letters;
      for (const [words, x, y, align] of [[left, 10, height / 2, "left"], [right, width - 10, height / 2, "right"], [top, width / 2, 12, "center"], [bottom, width / 2, height - 12, "center"]]) outlined(c, words, x, y, align, "#E8EDF2");
      const bar = [50, 20, 10, 5].find((mm) => mm * s < width * 0.32) || 2;
      line(c, [10, height - 12], [10 + bar * s, height - 12], "#E8EDF2", 2, []);
      outlined(c, `${bar} mm`, 10, height - 23, "left", "#E8EDF2");
    },
    drawOutlines(c, s, width, height) {
      c.save();
      c.translate(width / 2, height / 2);
      c.scale(s, s);
      c.lineWidth = 1.5 / s;
      for (const { name, path } of this.paths) {
        if (this.nav.doc.looks.hidden.includes(name)) continue;
        c.strokeStyle = `rgb(${this.nav.colours[name] || [154, 165, 177]})`;
        c.stroke(path);
      }
      c.restore();
    },
  },
};

function line(c, [x0, y0], [x1, y1], tint, wide, dash) {
  c.setLineDash(dash);
  for (const [ink, width] of [["rgba(0,0,0,.8)", wide + 2.4], [tint, wide]]) { c.strokeStyle = ink; c.lineWidth = width; c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke(); }
  c.setLineDash([]);
}

function ring(c, [x, y], tint, radius) {
  for (const [ink, width] of [["rgba(0,0,0,.8)", 4.4], [tint, 2]]) { c.strokeStyle = ink; c.lineWidth = width; c.beginPath(); c.arc(x, y, radius, 0, 7); c.stroke(); }
}
