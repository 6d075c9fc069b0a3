// Requests to the server. Pictures: the newest wins. Errors arrive as words for a person.

export class Refusal extends Error {}

async function answer(response) {
  if (response.ok) return response;
  let words = `${response.status}`;
  try { words = (await response.json()).error || words; } catch { /* no words */ }
  throw new Refusal(onPage(words));
}

// Words of the core without what only its command line has, and without the stars of its patterns: "bulla*".
export function onPage(words) {
  return words.replace(/: navplan segment CASE --absent \S+ --by WHO/g, "").replace(/(\w)\*/g, "$1")
    .replace("then name it with --acknowledge NAME", "then tick its box").replace(/ with --[a-z][^.;,(]*(\([^)]*\))?/g, "");
}

export async function act(name, args = {}) {
  return (await answer(await fetch(`api/act/${name}`, post(args)))).json();
}

export async function ask(name, args = {}, signal = undefined) {
  return (await answer(await fetch(`api/${name}`, { ...post(args), signal }))).json();
}

function post(args) {
  return { method: "POST", headers: { "Content-Type": "application/json", "X-Navplan": "1" }, body: JSON.stringify(args) };
}

export async function get(path, args, signal = undefined) {
  return answer(await fetch(`api/${path}?${new URLSearchParams(args)}`, { signal }));
}

// A header in JSON, outlines (float32), then what follows.
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
  return { ...header, outlines, values: new pixels(buffer, at, header.width * header.height) };
}

// One request at a time; of those that came meanwhile only the newest is sent.
export class Latest {
  constructor(send, done, failed = () => {}) {
    Object.assign(this, { send, done, failed, waiting: undefined, busy: false });
  }

  ask(what) {
    this.waiting = what;
    if (!this.busy) this.next();
  }

  async next() {
    if (this.waiting === undefined) return;
    const what = this.waiting;
    this.waiting = undefined;
    this.busy = true;
    try {
      this.done(await this.send(what), what);
    } catch (error) {
      this.failed(error, what);
    } finally {
      this.busy = false;
    }
    this.next();
  }
}
