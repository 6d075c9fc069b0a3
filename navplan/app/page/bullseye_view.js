// The bull's-eye: the planned way seen along itself, its line a point in the middle. Where the needle's line meets skin
// and target, where its tip is, how far it is tilted. In a rehearsal the mouse moves the needle here.

import { fitted, hatched, outlined } from "./drawing.js";

const RINGS = { 6: [2, 4, 6], 12: [4, 8, 12], 25: [5, 15, 25], 60: [20, 40, 60] };
const SCALES = [6, 12, 25, 60];

export default {
  inject: ["nav"],
  template: `
    <section class="np-view" :class="{ 'np-big': nav.ui.big === 'bullseye' }" data-view="bullseye">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="nav.t.views.bullseye + ': ' + words" @pointerdown="down" @pointermove="move"
        @pointerup="up" @pointercancel="up" @dblclick="nav.enlarge('bullseye')" @keydown="key"></canvas>
    </section>`,
  data: () => ({ scale: 12 }),
  computed: {
    words() {
      const at = this.nav.liveAt;
      return at ? this.nav.filled(this.nav.t.guide.bullseye, at) : this.nav.guide.first;
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
      const canvas = this.$refs.canvas, dpr = window.devicePixelRatio || 1, width = canvas.width / dpr, height = canvas.height / dpr, foot = 50 * this.nav.ui.text;
      const radius = Math.max(30, Math.min(width / 2 - 26, (height - foot - 24) / 2 - 14));
      return { dpr, width, height, x: width / 2, y: 24 + radius + 10, radius };
    },
    fit(at) {
      const far = Math.max(...[at.tip_at, at.entry_at, at.target_at].filter(Boolean).map(([u, v]) => Math.hypot(u, v)));
      const needed = SCALES.find((mm) => far <= mm) || 60;
      if (needed > this.scale || far < 0.7 * (SCALES[SCALES.indexOf(this.scale) - 1] || 0)) this.scale = needed;
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context, { t } = this.nav;
      if (!canvas) return;
      const p = this.place(), at = this.nav.liveAt, text = this.nav.ui.text, now = this.nav.guide.seen.now;
      c.setTransform(p.dpr, 0, 0, p.dpr, 0, 0);
      c.fillStyle = "#0B0F14";
      c.fillRect(0, 0, p.width, p.height);
      if (at) this.fit(at);
      this.rings(c, p, text);
      c.font = `600 ${12 * text}px sans-serif`;
      outlined(c, t.views.bullseye, 10, 14, "left", "#E8EDF2");
      if (at) this.needle(c, p, at, now);
      if (!at || now.verdict === "NOT_EVALUATED") hatched(c, p, at ? t.guide.distrust : this.nav.guide.seen.running ? t.guide.no_place : t.guide.off, text);
      if (at) this.figures(c, p, at, text, now.verdict === "NOT_EVALUATED");
    },
    rings(c, p, text) {
      for (const mm of RINGS[this.scale]) {
        c.strokeStyle = "#46525f"; c.lineWidth = 1;
        c.beginPath(); c.arc(p.x, p.y, (mm / this.scale) * p.radius, 0, 7); c.stroke();
        c.font = `${11 * text}px sans-serif`;
        outlined(c, `${mm} mm`, p.x + 4, p.y - (mm / this.scale) * p.radius + 8, "left", "#A9B4C0");
      }
      c.strokeStyle = "#33404e";
      c.beginPath(); c.moveTo(p.x - p.radius, p.y); c.lineTo(p.x + p.radius, p.y); c.moveTo(p.x, p.y - p.radius); c.lineTo(p.x, p.y + p.radius); c.stroke();
      c.strokeStyle = "#E66BD3"; c.lineWidth = 2;  // the planned way: its target lies behind its entry
      c.beginPath(); c.arc(p.x, p.y, 7, 0, 7); c.stroke();
    },
    at(p, [u, v]) {
      const far = Math.hypot(u, v), held = far > this.scale ? this.scale / far : 1;
      return [p.x + (u * held / this.scale) * p.radius, p.y + (v * held / this.scale) * p.radius];
    },
    needle(c, p, at, now) {
      const tip = this.at(p, at.tip_at), entry = at.entry_at && this.at(p, at.entry_at), target = at.target_at && this.at(p, at.target_at);
      const tint = now.verdict === "NOT_EVALUATED" ? "#9AA5B1" : "#F4F8FF";
      if (entry && target) this.line(c, [entry, target], tint, 2.5, []);
      if (entry) {  // the cross: where its line meets the planned entry's depth
        const [x, y] = entry;
        this.line(c, [[x - 15, y], [x + 15, y]], "#8FBEFF", 2.5, []);
        this.line(c, [[x, y - 15], [x, y + 15]], "#8FBEFF", 2.5, []);
      }
      if (target) { c.strokeStyle = "#E66BD3"; c.lineWidth = 2.5; c.beginPath(); c.rect(target[0] - 9, target[1] - 9, 18, 18); c.stroke(); }
      for (const [fill, wide] of [["#000", 5.5], [tint, 4]]) { c.fillStyle = fill; c.beginPath(); c.arc(...tip, wide, 0, 7); c.fill(); }
    },
    line(c, points, tint, wide, dash) {
      for (const [ink, width] of [["rgba(0,0,0,.8)", wide + 2], [tint, wide]]) {
        c.setLineDash(dash); c.strokeStyle = ink; c.lineWidth = width; c.beginPath();
        points.forEach((one, n) => (n ? c.lineTo(...one) : c.moveTo(...one)));
        c.stroke();
      }
      c.setLineDash([]);
    },
    figures(c, p, at, text, doubted) {
      const { t } = this.nav, y = p.height - 32 * text, tint = doubted ? "#9AA5B1" : "#E8EDF2";
      const columns = [[t.guide.entry_aside, `${at.entry_aside_mm.toFixed(1)} mm`, "#8FBEFF", "+"], [t.guide.angle, `${at.angle_deg.toFixed(1)}°`, tint, ""],
        [t.guide.target_aside, `${at.target_aside_mm.toFixed(1)} mm`, "#E66BD3", "□"]];
      columns.forEach(([words, value, ink, sign], n) => {
        const x = (p.width * (2 * n + 1)) / 6;
        c.font = `${11 * text}px sans-serif`;
        outlined(c, `${sign} ${words}`, x, y, "center", doubted ? "#9AA5B1" : ink);
        c.font = `700 ${16 * text}px sans-serif`;
        outlined(c, value, x, y + 18 * text, "center", tint);
      });
    },
    down(event) {
      this.$refs.canvas.focus();
      if (!this.nav.guide.seen.rehearsal) return;
      this.$refs.canvas.setPointerCapture(event.pointerId);
      const box = this.$refs.canvas.getBoundingClientRect(), p = this.place();
      this.start = { x: event.clientX, y: event.clientY, mm: this.scale / p.radius, tilt: event.shiftKey || event.button === 2, wish: { ...this.nav.wish } };
    },
    move(event) {
      if (!this.start) return;
      const dx = event.clientX - this.start.x, dy = event.clientY - this.start.y, { wish, mm, tilt } = this.start;
      if (tilt) this.nav.wishFor({ tilt_deg: [wish.tilt_deg[0] + dx * 0.05, wish.tilt_deg[1] + dy * 0.05] });
      else this.nav.wishFor({ aside_mm: [wish.aside_mm[0] + dx * mm, wish.aside_mm[1] + dy * mm] });
    },
    up() { this.start = null; },
    key(event) {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by || !this.nav.guide.seen.rehearsal) return;
      const { aside_mm, tilt_deg } = this.nav.wish;
      this.nav.wishFor(event.shiftKey ? { tilt_deg: tilt_deg.map((v, n) => v + 0.5 * by[n]) } : { aside_mm: aside_mm.map((v, n) => v + 0.5 * by[n]) });
      event.preventDefault();
      event.stopPropagation();
    },
  },
};
