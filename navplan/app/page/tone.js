// Alarms to be heard: each grade has its own rhythm, so that it is told apart without looking. No sound file.

// s after the beginning of a bar: [from, for, Hz]; and how long a bar is.
const BARS = {
  slow: { every: 3, beeps: [[0, 0.12, 520]] },
  double: { every: 1.6, beeps: [[0, 0.14, 390], [0.22, 0.14, 390]] },
  continuous: { every: 0.5, beeps: [[0, 0.3, 880]] },
};
const LOUD = 0.12;

export class Tone {
  constructor() { this.name = ""; }

  // From a press of a button.
  wake() {
    this.context ||= new AudioContext();
    this.context.resume().catch(() => {});
  }

  get silent() { return !this.context || this.context.state !== "running"; }

  play(name) {
    if (name === this.name) return;
    this.name = name;
    clearInterval(this.timer);
    const bar = BARS[name];
    if (!bar) return;
    this.bar(bar);
    this.timer = setInterval(() => this.bar(bar), 1000 * bar.every);
  }

  bar({ beeps }) {
    if (this.silent) return;
    for (const [from, lasts, hz] of beeps) {
      const at = this.context.currentTime + 0.01 + from, tone = this.context.createOscillator(), level = this.context.createGain();
      tone.frequency.value = hz;
      level.gain.setValueAtTime(0, at);
      level.gain.linearRampToValueAtTime(LOUD, at + 0.015);
      level.gain.setValueAtTime(LOUD, at + lasts - 0.03);
      level.gain.linearRampToValueAtTime(0, at + lasts);
      tone.connect(level).connect(this.context.destination);
      tone.start(at);
      tone.stop(at + lasts + 0.01);
    }
  }
}
