// Requests to the server. Pictures: the newest wins. Errors arrive as words for a person.

export class Refusal extends Error {}

// Of which case the page shows what it shows: the server answers nothing about another.
export const shown = { case: "" };
const ofCase = () => (shown.case ? { "X-Navplan-Case": shown.case } : {});

async function answer(response) {
  if (response.ok) return response;
  let words = `${response.status}`;
  try { words = (await response.json()).error || words; } catch { /* no words */ }
  throw new Refusal(onPage(words));
}

// Words of the core without what only its command line has, and without the stars of its patterns: "bulla*".
export function onPage(words) {
  return words.replace(/: navplan segment CASE --absent .+? --by WHO/g, "").replace(/(\w)\*/g, "$1")
    .replace("then name it with --acknowledge NAME", "then tick its box").replace(/ with --[a-z][^.;,(]*(\([^)]*\))?/g, "");
}

export async function act(name, args = {}) {
  return (await answer(await fetch(`api/act/${name}`, post(args)))).json();
}

export async function ask(name, args = {}, signal = undefined) {
  return (await answer(await fetch(`api/${name}`, { ...post(args), signal }))).json();
}

function post(args) {
  return { method: "POST", headers: { "Content-Type": "application/json", "X-Navplan": "1", ...ofCase() }, body: JSON.stringify(args) };
}

// A file as it is.
export async function send(path, args, file) {
  const headers = { "Content-Type": "application/octet-stream", "X-Navplan": "1", ...ofCase() };
  return (await answer(await fetch(`api/${path}?${new URLSearchParams(args)}`, { method: "POST", headers, body: file }))).json();
}

export async function get(path, args, signal = undefined) {
  return answer(await fetch(`api/${path}?${new URLSearchParams(args)}`, { headers: ofCase(), signal }));
}

// A header in JSON, outlines (float32), values, and those of a second image where the header names one.
export async function unpacked(response, pixels = Int16Array) {
  const buffer = await response.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const outlines = (header.outlines || []).map(([name, count]) => {
    const pieces = new Float32Array(buffer, at, 4 * count);
    at += 16 * count;
    return { name, pieces };
  });
  const count = header.width * header.height, values = new pixels(buffer, at, count);
  return { ...header, outlines, values, second: header.over ? new pixels(buffer, at + values.byteLength, count) : null };
}

// One request at a time, or as many as depth says; of those that came meanwhile only the newest is sent, once it is ready
// for it. An answer that a newer one has overtaken goes to unheard, and so do all once it is closed.
export class Latest {
  constructor(send, done, failed = () => {}, { depth = 1, ready = null, unheard = () => {} } = {}) {
    Object.assign(this, { send, done, failed, depth, ready, unheard, waiting: undefined, busy: 0, sent: 0, heard: 0, resting: [] });
  }

  ask(what) {
    this.waiting = what;
    if (this.busy < this.depth) this.next();
  }

  close() { this.depth = 0; }

  // Nothing that waits is sent any more; resolved when nothing is under way.
  forget() {
    this.waiting = undefined;
    return this.busy ? new Promise((done) => this.resting.push(done)) : Promise.resolve();
  }

  async next() {
    if (this.waiting === undefined || !this.depth) return;
    this.busy++;
    try {
      if (this.ready) await this.ready();
      if (this.waiting !== undefined && this.depth) await this.sendNewest();
    } finally {
      this.busy--;
      if (!this.busy) this.resting.splice(0).forEach((done) => done());
    }
    this.next();
  }

  async sendNewest() {
    const what = this.waiting, number = ++this.sent;
    this.waiting = undefined;
    try {
      const made = await this.send(what);
      if (this.hears(number)) this.done(made, what);
      else this.unheard(made);
    } catch (error) {
      if (this.hears(number)) this.failed(error, what);
    }
  }

  hears(number) {
    if (!this.depth || number < this.heard) return false;
    this.heard = number;
    return true;
  }
}
