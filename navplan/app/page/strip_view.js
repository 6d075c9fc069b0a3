// The way straightened: the image along the needle, its tissues, and the clearance at each depth as an interval.

import { Latest, get, unpacked } from "./api.js";
import { VERDICTS, fitted, outlined, plate, windowed } from "./drawing.js";

const TOP_MM = 20, BEFORE_MM = 8, BEYOND_MM = 6;
const rgb = (c) => `rgb(${c[0]},${c[1]},${c[2]})`;

export default {
  inject: ["nav"],
  template: `
    <section class="np-view np-strip" data-view="strip">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="nav.t.views.strip" @pointermove="move" @pointerdown="move"
        @keydown="key"></canvas>
      <p v-if="!nav.way" class="np-view-words">{{ nav.t.no_way_to_show }}</p>
    </section>`,
  created() {
    this.request = new Latest(async () => unpacked(await get("plane", { kind: "strip", rev: this.nav.wayKey })),
      (picture) => { this.picture = picture; this.draw(); }, () => { this.picture = null; });
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    this.stops = [
      fitted(this.$refs.canvas, () => this.draw()),
      Vue.watch(() => this.nav.wayKey, () => { this.picture = null; this.ask(); }),
      Vue.watch(() => [this.nav.way?.strip, this.nav.drag, this.nav.ui.window, this.nav.ui.depth, this.nav.ui.text], (now, before) => now.some((one, n) => (n === 1 ? !one !== !before[n] : one !== before[n])) && this.draw()),
    ];
    this.ask();
  },
  unmounted() {
    this.stops.forEach((stop) => stop());
    this.request.close();
  },
  methods: {
    ask() { if (this.nav.doc.way) this.request.ask({}); this.draw(); },
    frame() {
      const way = this.nav.way, canvas = this.$refs.canvas, dpr = window.devicePixelRatio || 1;
      const left = 64, right = canvas.width / dpr - 14, to = Math.max(way.strip.swept_mm, way.strip.target_mm) + BEYOND_MM;
      const height = canvas.height / dpr, bandTop = 20 + height * 0.22, curveTop = bandTop + 24, curveBottom = height - 20;
      return {
        left, right, to, height, bandTop, curveTop, curveBottom,
        x: (depth) => left + ((depth + BEFORE_MM) / (to + BEFORE_MM)) * (right - left),
        y: (mm) => curveBottom - (Math.min(Math.max(mm, 0), TOP_MM) / TOP_MM) * (curveBottom - curveTop),
        depth: (x) => ((x - left) / (right - left)) * (to + BEFORE_MM) - BEFORE_MM,
      };
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context;
      if (!canvas) return;
      const dpr = window.devicePixelRatio || 1, way = this.nav.way;
      c.setTransform(1, 0, 0, 1, 0, 0);
      c.fillStyle = "#0B0F14";
      c.fillRect(0, 0, canvas.width, canvas.height);
      if (!way || !way.strip) return;
      c.scale(dpr, dpr);
      const f = this.frame(), strip = way.strip, text = this.nav.ui.text;
      if (this.picture && !this.nav.drag) this.drawImage(c, f);
      this.drawShaft(c, f, strip);
      c.font = `600 ${11.5 * text}px sans-serif`;
      for (const section of strip.sections) {
        const x0 = f.x(section.from_mm), x1 = f.x(section.to_mm);
        c.fillStyle = rgb(section.colour);
        c.fillRect(x0, f.bandTop, Math.max(1, x1 - x0 - 0.6), 18);
        const words = section.spoken || this.nav.t.no_label;
        if (c.measureText(words).width < x1 - x0 - 8) {
          c.fillStyle = "#0a0e12"; c.textAlign = "center"; c.textBaseline = "middle"; c.fillText(words, (x0 + x1) / 2, f.bandTop + 9.5);
        }
      }
      this.drawCurves(c, f, strip, text);
      this.drawDepths(c, f, strip, text);
    },
    drawImage(c, f) {
      const p = this.picture;
      this.grey = windowed(p, this.nav.ui.window, this.grey);
      c.imageSmoothingQuality = "high";
      c.drawImage(this.grey, f.left, 18, f.right - f.left, f.bandTop - 21);
    },
    drawShaft(c, f, strip) {
      const y = (18 + f.bandTop - 3) / 2;
      const bar = (from, to, tint, wide) => { c.strokeStyle = tint; c.lineWidth = wide; c.beginPath(); c.moveTo(from, y); c.lineTo(to, y); c.stroke(); };
      bar(f.left, f.x(strip.tip_mm), "rgba(0,0,0,.8)", 5);
      bar(f.left, f.x(strip.tip_mm), "#F4F8FF", 2.5);
      bar(f.x(strip.tip_mm), f.x(strip.swept_mm), "#ffbeec", 2);
    },
    drawCurves(c, f, strip, text) {
      c.font = `${11 * text}px sans-serif`;
      for (const mm of [0, 10, 20]) {
        c.strokeStyle = "#3c4652"; c.lineWidth = 1;
        c.beginPath(); c.moveTo(f.left, f.y(mm)); c.lineTo(f.right, f.y(mm)); c.stroke();
        outlined(c, `${mm} mm`, f.left - 6, f.y(mm), "right", "#9AA5B1");
      }
      const tags = [];
      strip.curves.forEach((curve, number) => {
        const tint = VERDICTS[curve.verdict], shade = rgb(curve.colour.map((v) => Math.round(v * (1 - 0.18 * number))));
        c.beginPath();
        strip.depths_mm.forEach((depth, n) => c.lineTo(f.x(depth), f.y(curve.high_mm[n])));
        for (let n = strip.depths_mm.length - 1; n >= 0; n--) c.lineTo(f.x(strip.depths_mm[n]), f.y(curve.low_mm[n]));
        c.globalAlpha = 0.25; c.fillStyle = shade; c.fill(); c.globalAlpha = 1;
        c.strokeStyle = shade; c.lineWidth = 2; c.beginPath();
        let pen = false, worst = 0;
        strip.depths_mm.forEach((depth, n) => {
          if (curve.low_mm[n] < curve.low_mm[worst]) worst = n;
          if (curve.low_mm[n] >= TOP_MM) { pen = false; return; }
          if (pen) c.lineTo(f.x(depth), f.y(curve.low_mm[n])); else c.moveTo(f.x(depth), f.y(curve.low_mm[n]));
          pen = true;
        });
        c.stroke();
        if (curve.required_mm !== null) {
          c.setLineDash([5, 5]); c.strokeStyle = "#FF6B4A"; c.lineWidth = 1;
          c.beginPath(); c.moveTo(f.x(0), f.y(curve.required_mm)); c.lineTo(f.x(strip.swept_mm), f.y(curve.required_mm)); c.stroke(); c.setLineDash([]);
        }
        if (curve.low_mm.length && number < 2) tags.push([f.x(strip.depths_mm[worst]), f.y(curve.low_mm[worst]), `${curve.spoken}  ${curve.interval}`, tint]);
      });
      tags.sort((a, b) => a[0] - b[0]).forEach(([x, y, words, tint], n) => {
        c.fillStyle = tint; c.beginPath(); c.arc(x, y, 4, 0, 7); c.fill();
        const wide = c.measureText(words).width;
        const left = n === 0 && tags.length > 1 ? x - wide - 14 > f.left : x + wide + 14 > f.right;
        plate(c, words, left ? x - wide - 12 : x + 12, Math.max(f.curveTop + 8, Math.min(y, f.curveBottom - 10) - (n && Math.abs(tags[0][1] - y) < 20 ? 22 : 0)), 1, "#E8EDF2");
      });
    },
    drawDepths(c, f, strip, text) {
      c.font = `${11 * text}px sans-serif`;
      for (let depth = 0; depth < f.to; depth += 10) outlined(c, `${depth}`, f.x(depth), f.height - 9, "center", "#9AA5B1");
      const t = this.nav.t, marks = [[0, t.skin, "#8FBEFF"], ...strip.ticks.map((tick) => [tick.depth_mm, tick.words, "#E8EDF2"]), [strip.tip_mm, t.tip, "#F4F8FF"]];
      if (Math.abs(strip.target_mm - strip.tip_mm) > 0.5) marks.push([strip.target_mm, t.target, "#E66BD3"]);
      let last = -Infinity;
      for (const [depth, words, tint] of marks.sort((a, b) => a[0] - b[0])) {
        const x = f.x(depth), label = words === t.skin ? words : `${words} ${Math.round(depth)}`, half = c.measureText(label).width / 2;
        c.strokeStyle = tint; c.globalAlpha = 0.6; c.lineWidth = 1; c.beginPath(); c.moveTo(x, 14); c.lineTo(x, f.curveBottom); c.stroke(); c.globalAlpha = 1;
        const centre = Math.max(x, last + half + 6);
        outlined(c, label, centre, 9, "center", tint);
        last = centre + half;
      }
      if (this.nav.ui.depth !== null) {
        const x = f.x(this.nav.ui.depth);
        c.strokeStyle = "#8FBEFF"; c.lineWidth = 1.5; c.beginPath(); c.moveTo(x, 14); c.lineTo(x, f.curveBottom); c.stroke();
      }
    },
    move(event) {
      if (!this.nav.way || (event.type === "pointermove" && !event.buttons)) return;
      const box = this.$refs.canvas.getBoundingClientRect();
      this.nav.setDepth(this.frame().depth(event.clientX - box.left));
    },
    key(event) {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || !this.nav.way) return;
      this.nav.setDepth((this.nav.ui.depth ?? this.nav.way.strip.tip_mm) + by);
      event.preventDefault();
      event.stopPropagation();
    },
  },
};
