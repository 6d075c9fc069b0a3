// Live guidance in this tab: the stream of frames, and the watch over it. What is shown is of now or it is not shown: the
// page itself says so when no frame comes, and needs nobody to tell it.

import { ask, get } from "./api.js";
import { Tone } from "./tone.js";

export const LOST_MS = 300;
const WATCH_MS = 50, DRIFT = 1e-4;  // DRIFT: of two clocks

export class Guide {
  constructor(t) {
    this.t = t;
    this.tone = new Tone();
    this.seen = Vue.shallowReactive({ running: false, now: null, lost_ms: 0, muted: false, silent: false, lostFrame: 0,  // lostFrame: the first in which nothing was known
      trackers: ["simulated"], rehearsal: false });
    this.heardAt = 0;
    this.askedAt = 0;  // when the last frame came, late or not
    this.soonest = Infinity;  // the least that this clock was ahead of the server's: a frame of which it is more is late
  }

  open() {
    if (this.source) return;
    this.source = new EventSource("api/guide/frames");
    this.source.onmessage = (event) => this.heard(JSON.parse(event.data));
    this.timer = setInterval(() => this.watch(), WATCH_MS);
    this.woken = () => this.watch();
    document.addEventListener("visibilitychange", this.woken);
    get("guide/trackers").then((answer) => answer.json()).then((found) => { this.seen.trackers = found.trackers; }, () => {});
  }

  close() {
    if (!this.source) return;
    this.source.close();
    this.source = null;
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.woken);
    this.tone.play("");
  }

  async start(args) {
    this.tone.wake();  // a browser lets sound begin only where somebody pressed something
    this.heard(await ask("guide/start", args));
  }

  async stop() { this.heard(await ask("guide/stop")); }

  heard(told) {
    const now = performance.now();
    if (!told.running) {
      Object.assign(this.seen, { running: false, now: null, lost_ms: 0 });
      this.tone.play("");
      return;
    }
    const ahead = now - told.server_ms;
    this.soonest = Math.min(ahead, this.soonest + DRIFT * (now - (this.askedAt || now)));
    this.askedAt = now;
    const waited = (told.sent_ms ?? told.server_ms) - told.server_ms;  // before the server sent it
    if (ahead - this.soonest > LOST_MS || waited > LOST_MS) { this.watch(); return; }  // not of now
    if (this.seen.now && told.frame <= this.seen.now.frame && told.server_ms <= this.seen.now.server_ms) return;
    this.heardAt = now;
    if (told.verdict === "NOT_EVALUATED" && !(this.seen.now && this.seen.now.verdict === "NOT_EVALUATED")) this.seen.lostFrame = told.frame;
    Object.assign(this.seen, { running: true, lost_ms: 0, rehearsal: told.rehearsal, now: Object.freeze(told) });
    this.sound(told.tone);
  }

  watch() {
    if (!this.seen.running) return;
    const silent_ms = performance.now() - this.heardAt;
    if (silent_ms <= LOST_MS) return;
    this.seen.lost_ms = Math.round(silent_ms / 100) * 100;
    if (!this.seen.now.lost) this.seen.now = Object.freeze(lost(this.seen.now));
    this.sound("double");
  }

  // The first reason in words, with how long nothing came.
  get first() {
    const { now, lost_ms } = this.seen;
    if (!now) return this.t.guide.off;
    return lost_ms ? this.t.guide.lost.replace("{ms}", lost_ms) : now.first;
  }

  mute(muted) { this.seen.muted = muted; this.sound(this.seen.now ? this.seen.now.tone : ""); }

  sound(name) {
    this.tone.play(this.seen.muted ? "" : name);
    this.seen.silent = this.tone.silent;
  }
}

// What is left of a frame when no other comes: which way, with what; of the needle nothing.
function lost(told) {
  const grade = { verdict: "NOT_EVALUATED", word: "NOT EVALUATED", symbol: "?" };
  return { ...told, ...grade, lost: true, first: "", more: 0, reasons: [], tone: "double", at: null, margins: [], judged: 0, error: "", age_ms: null, registration: "", checkpoint: "", alarms: [] };
}
