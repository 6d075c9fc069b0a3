// The depth bar: the planned way from above the skin to past the target, and the tip on it. How far it still is stands
// apart from how far off it is: they are two things. In a rehearsal the mouse moves the needle here.

import { fitted, hatched, outlined } from "./drawing.js";

const ABOVE_MM = 25, BEYOND_MM = 15;

export default {
  inject: ["nav"],
  template: `
    <section class="np-view" data-view="depth">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="nav.t.views.depth + ': ' + words" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up" @keydown="key"></canvas>
    </section>`,
  computed: {
    words() {
      const at = this.nav.liveAt;
      return at ? this.nav.filled(this.nav.t.guide.depth, at) : this.nav.guide.first;
    },
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    this.stops = [fitted(this.$refs.canvas, () => this.draw()), Vue.watch(() => [this.nav.guide.seen.now, this.nav.ui.text], () => this.redraw())];
  },
  unmounted() { this.stops.forEach((stop) => stop()); cancelAnimationFrame(this.waiting); },
  methods: {
    redraw() { this.waiting ||= requestAnimationFrame(() => { this.waiting = 0; this.draw(); }); },
    place() {
      const canvas = this.$refs.canvas, dpr = window.devicePixelRatio || 1, text = this.nav.ui.text, now = this.nav.guide.seen.now;
      const width = canvas.width / dpr, height = canvas.height / dpr, top = 30, bottom = height - 122 * text;
      const target = now ? now.planned.target_mm : this.nav.way ? this.nav.way.depth_mm : 60, tip = now ? now.planned.tip_mm : target;
      const y = (mm) => top + ((mm + ABOVE_MM) / (target + ABOVE_MM + BEYOND_MM)) * (bottom - top);
      const mm = (at) => ((at - top) / (bottom - top)) * (target + ABOVE_MM + BEYOND_MM) - ABOVE_MM;
      return { dpr, text, width, height, top, bottom, target, tip, y, mm, x: Math.max(40 * text, width * 0.36), wide: 22 };
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context, { t } = this.nav;
      if (!canvas) return;
      const p = this.place(), at = this.nav.liveAt, now = this.nav.guide.seen.now, doubted = !now || now.verdict === "NOT_EVALUATED";
      c.setTransform(p.dpr, 0, 0, p.dpr, 0, 0);
      c.fillStyle = "#0B0F14";
      c.fillRect(0, 0, p.width, p.height);
      c.font = `600 ${12 * p.text}px sans-serif`;
      outlined(c, t.views.depth, 10, 14, "left", "#E8EDF2");
      this.scale(c, p, t);
      if (at) this.tip(c, p, at, doubted);
      if (doubted) hatched(c, { ...p, x: p.width / 2, y: (p.top + p.bottom) / 2 }, at ? t.guide.distrust : "", p.text);
      if (at) this.figures(c, p, at, doubted);
    },
    scale(c, p, t) {
      c.fillStyle = "#1b232c"; c.fillRect(p.x - p.wide / 2, p.y(-ABOVE_MM), p.wide, p.y(0) - p.y(-ABOVE_MM));
      c.fillStyle = "#3a2f2b"; c.fillRect(p.x - p.wide / 2, p.y(0), p.wide, p.bottom - p.y(0));
      c.font = `${11 * p.text}px sans-serif`;
      for (let mm = -20; mm < p.target + BEYOND_MM; mm += 10) {
        c.strokeStyle = "#66707c"; c.lineWidth = 1;
        c.beginPath(); c.moveTo(p.x - p.wide / 2 - 5, p.y(mm)); c.lineTo(p.x - p.wide / 2, p.y(mm)); c.stroke();
        if (mm % 20 === 0) outlined(c, `${mm}`, p.x - p.wide / 2 - 8, p.y(mm), "right", "#A9B4C0");
      }
      for (const [mm, words, tint] of [[0, t.skin, "#8FBEFF"], [p.target, t.target, "#E66BD3"]]) {
        c.strokeStyle = tint; c.lineWidth = 2.5;
        c.beginPath(); c.moveTo(p.x - p.wide / 2 - 6, p.y(mm)); c.lineTo(p.x + p.wide / 2 + 10, p.y(mm)); c.stroke();
        outlined(c, words, p.x + p.wide / 2 + 14, p.y(mm) + 11 * p.text, "left", tint);
      }
      if (Math.abs(p.target - p.tip) < 1) return;  // where the tip is to stand, short of the target
      c.strokeStyle = "#E8EDF2"; c.setLineDash([4, 3]); c.lineWidth = 1.5;
      c.beginPath(); c.moveTo(p.x - p.wide / 2, p.y(p.tip)); c.lineTo(p.x + p.wide / 2 + 10, p.y(p.tip)); c.stroke(); c.setLineDash([]);
      outlined(c, t.guide.stop_here, p.x + p.wide / 2 + 14, p.y(p.tip) - 10 * p.text, "left", "#E8EDF2");
    },
    tip(c, p, at, doubted) {
      const y = p.y(Math.min(Math.max(at.depth_mm, -ABOVE_MM), p.target + BEYOND_MM)), past = at.depth_mm > p.tip + 0.5;
      c.fillStyle = doubted ? "#9AA5B1" : "#F4F8FF";
      c.fillRect(p.x - 3, p.top, 6, y - p.top);
      c.beginPath(); c.moveTo(p.x - 9, y - 9); c.lineTo(p.x + 9, y - 9); c.lineTo(p.x, y + 2); c.fill();
      if (past) { c.font = `700 ${13 * p.text}px sans-serif`; outlined(c, this.nav.t.guide.past, p.x + p.wide / 2 + 14, p.bottom + 2, "left", "#FF8A70"); }
    },
    figures(c, p, at, doubted) {
      const { t } = this.nav, ink = doubted ? "#9AA5B1" : "#E8EDF2", y = p.height - 100 * p.text;
      [[t.guide.to_target, at.to_target_mm, "#E66BD3", 0], [t.guide.cross_track, at.cross_track_mm, "#8FBEFF", 50]].forEach(([words, value, tint, down]) => {
        c.font = `${11 * p.text}px sans-serif`;
        outlined(c, words, p.width / 2, y + down * p.text, "center", doubted ? ink : tint);
        c.font = `700 ${22 * p.text}px sans-serif`;
        outlined(c, `${value.toFixed(1)} mm`, p.width / 2, y + (down + 22) * p.text, "center", ink);
      });
    },
    down(event) {
      this.$refs.canvas.focus();
      if (!this.nav.guide.seen.rehearsal) return;
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.held = true;
      this.move(event);
    },
    move(event) {
      if (!this.held) return;
      this.nav.wishFor({ depth_mm: this.place().mm(event.clientY - this.$refs.canvas.getBoundingClientRect().top) });
    },
    up() { this.held = false; },
    key(event) {
      const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (!by || !this.nav.guide.seen.rehearsal) return;
      this.nav.wishFor({ depth_mm: this.nav.wish.depth_mm + by });
      event.preventDefault();
      event.stopPropagation();
    },
  },
};
