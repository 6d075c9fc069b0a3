// The page: camera by mouse, touch and keys; words over the picture; which parts are shown.

const QUIET_MS = 250, HOVER_MS = 140, FINER = [0.5, 0.7, 1, 1.4, 2], FULL = 2, MOST_PIXELS = 9e6, SLOW_MS = 50, QUICK_MS = 22, MOST_STILL_MS = 600;
const TURN = (5 * Math.PI) / 180, STEP_PX = 40;
const find = (id) => document.getElementById(id);

function start() {
  const scene = JSON.parse(find("scene-data").textContent);
  const bytes = decoded(find("scene-meshes").textContent);
  const area = find("scene"), canvas = find("view"), tip = find("tip");
  document.body.classList.remove("in-words");
  let painter = new Painter(canvas, scene, bytes);
  const boxes = [...document.querySelectorAll("input[data-part]")];
  const shown = scene.parts.map(() => true);
  const labels = scene.labels.map(labelOf);
  const letters = Object.keys(scene.letters).map((name) => made("b", find("letters"), name));
  let camera = null, pace = FULL, stillPace = FULL, quick = 0, slow = 0, began = 0, wanted = false, due = 0, quiet = 0, busy = null;

  const size = () => [Math.max(area.clientWidth, 1), Math.max(area.clientHeight, 1)];
  const sightsNow = () => (find("cutaway").checked ? sightsFrom(camera.position, scene) : null);

  function firstCamera() {
    const [width, height] = size(), wider = scene.aspect / (width / height);
    return nearer(scene.camera, Math.max(1, wider), 0, Infinity);
  }

  function paint(place) {
    const [width, height] = size(), scale = window.devicePixelRatio || 1, box = find("figure").getBoundingClientRect();
    const from = area.getBoundingClientRect(), px = (value) => Math.round(value * scale);
    painter.draw({
      camera, shown, finer: FINER[place], sights: sightsNow(), pixelMm: pixelSize(camera, height), width: px(width), height: px(height),
      corner: [px(box.left - from.left), px(from.bottom - box.bottom), px(box.width)],
    });
    canvas.dataset.drawn = Number(canvas.dataset.drawn || 0) + 1;
  }

  // Draw soon, as fine as it can be done quickly; and finely once nothing moves.
  function ask() {
    wanted = true;
    canvas.dataset.quality = "moving";
    if (!due) due = requestAnimationFrame(next);
  }

  // One picture at a time: the next is begun when the last is done.
  function next() {
    due = 0;
    if (!painter.isDone()) due = requestAnimationFrame(next);
    else {
      if (began) setPace(performance.now() - began);
      began = 0;
      if (wanted) paintMoving();
    }
  }

  function paintMoving() {
    clearTimeout(quiet);
    wanted = false;
    began = performance.now();
    paint(pace);
    words(false);
    due = requestAnimationFrame(next);
    quiet = setTimeout(paintStill, QUIET_MS);
  }

  // How fine a moving picture is, after the time that one took.
  function setPace(tookMs) {
    quick = tookMs < QUICK_MS ? quick + 1 : 0;
    slow = tookMs > SLOW_MS ? slow + 1 : 0;
    const by = slow > 1 ? -1 : quick > 30 ? 1 : 0;
    if (by) [pace, quick, slow] = [Math.min(Math.max(pace + by, 0), stillPace), 0, 0];
  }

  function paintStill() {
    if (wanted || !painter.isDone()) return ask();
    const before = stillPace, start = performance.now();
    paint(stillPace);
    busy = painter.busy();
    setPaces(performance.now() - start);
    if (stillPace > before) paint(stillPace);
    words(true);
    canvas.dataset.camera = JSON.stringify(camera);
    canvas.dataset.quality = "still";
  }

  // How fine a still may be: as fine as is drawn within this time, after the time that one at `stillPace` took.
  function setPaces(tookMs) {
    const [width, height] = size(), pixels = width * height * (window.devicePixelRatio || 1) ** 2;
    const before = stillPace, fits = (place) => (FINER[place] / FINER[before]) ** 2 * tookMs < MOST_STILL_MS;
    stillPace = FINER.length - 1;
    while (stillPace > FULL && (FINER[stillPace] ** 2 * pixels > MOST_PIXELS || !fits(stillPace))) stillPace--;
    pace = Math.min(pace, stillPace);
  }

  function labelOf(label) {
    const plate = made("div", find("labels"), "", label.more ? "label more" : "label"), line = made("p", plate), detail = made("small", plate, label.detail);
    plate.style.borderLeftColor = label.colour;
    if (label.verdict) made("span", line, label.symbol, "badge").dataset.verdict = label.verdict;
    made("b", line, label.title);
    plate.title = `${label.verdict ? label.verdict.replace("_", " ") + ": " : ""}${label.title}, ${label.detail}`;
    const leader = document.createElementNS("http://www.w3.org/2000/svg", "path");
    find("leaders").append(leader);
    leader.style.stroke = label.colour;
    return { ...label, plate, detail, leader, offset: null };
  }

  function words(atRest) {
    const [width, height] = size(), axes = cameraAxes(camera), text = parseFloat(getComputedStyle(find("labels")).fontSize);
    find("left").textContent = sideLetters(add([0, 0, 0], axes.right, -1));
    find("right").textContent = sideLetters(axes.right);
    placeLetters(axes);
    scaleBar(height);
    for (const label of labels) {
      const [x, y] = project(camera, label.at, width, height);
      [label.x, label.y] = [Math.min(Math.max(x, 8), width - 8), Math.min(Math.max(y, 8), height - 8)];
      [label.wide, label.tall] = [label.plate.offsetWidth, label.plate.offsetHeight];
    }
    const needle = scene.needle_drawn ? scene.needle_drawn.map((end) => project(camera, end, width, height).slice(0, 2)) : null;
    const drawn = labels.filter((label) => label.wide > 0);
    if (atRest) placeLabels(drawn, keptFree(text), needle, busy, width, height, text).forEach((box, place) => {
      drawn[place].offset = [box[0] - drawn[place].x, box[1] - drawn[place].y];
    });
    for (const label of labels) {
      const [dx, dy] = label.offset || [0.05 * width, -0.1 * height];
      const left = Math.min(Math.max(label.x + dx, 4), Math.max(width - label.wide - 4, 4));
      const top = Math.min(Math.max(label.y + dy, 4), Math.max(height - label.tall - 4, 4));
      label.plate.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
      const end = leaderEnd([left, top, left + label.wide, top + label.tall], label);
      label.leader.setAttribute("d", label.pointed && label.wide ? `M${label.x} ${label.y}L${end[0]} ${end[1]}` : "");
    }
    if (atRest) tellFaded();
  }

  // Boxes over which no label lies: everything else that is written, and the target.
  function keptFree(text) {
    const from = area.getBoundingClientRect();
    const taken = [...area.querySelectorAll(".keep-free")].map((one) => one.getBoundingClientRect())
      .filter((box) => box.width > 0).map((box) => [box.left - from.left, box.top - from.top, box.right - from.left, box.bottom - from.top]);
    if (labels.length) {
      const { x, y } = labels[0];
      taken.push([x - 2.4 * text, y - 2.4 * text, x + 2.4 * text, y + 2.4 * text]);
    }
    return taken;
  }

  function placeLetters(axes) {
    const side = find("figure").clientWidth, own = { position: add([0, 0, 0], axes.back, 6.3), focal: [0, 0, 0], up: axes.up, angle: 24 };
    Object.values(scene.letters).forEach((at, place) => {
      const [x, y] = project(own, at, side, side).map((value) => Math.min(Math.max(value, 8), side - 8));
      letters[place].style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
      letters[place].classList.toggle("behind", dot(unit(at), axes.back) < -0.35);
    });
  }

  function scaleBar(height) {
    const mm = pixelSize(camera, height), steps = [-1, 0, 1, 2, 3].flatMap((power) => [1, 2, 5].map((f) => f * 10 ** power));
    const most = steps.filter((step) => step / mm <= 190).pop() || steps[0];
    find("bar").style.width = `${most / mm}px`;
    find("bar-words").textContent = `${Number(most.toPrecision(2))} mm${labels.length ? " at the needle" : ""}`;
  }

  // What is faded to show the needle, and what a person has hidden: no picture of this page leaves it out.
  function tellFaded() {
    const faded = painter.parts.filter((part, place) => shown[place] && part.thin).map((part) => part.is.title);
    const hidden = scene.parts.filter((_, place) => !shown[place]).map((part) => part.title);
    find("faded").textContent = faded.length ? `faded to show the ${scene.needle_drawn ? "needle" : "planes"}: ${faded.join(", ")}` : "";
    find("hidden").textContent = hidden.length ? `hidden by hand: ${hidden.join(", ")}` : "";
  }

  function look(next) {
    camera = next;
    tip.hidden = true;
    ask();
  }

  const zoomed = (factor) => nearer(camera, factor, 20, 12 * scene.reach);

  // The part under a pixel, with its words.
  function tell(x, y) {
    const [width, height] = size(), sights = sightsNow();
    const faded = (mm, place) => solidAt(mm, sights, CUTS[scene.parts[place].cut]) < 0.5;
    const hit = firstHit(painter.parts, shown, camera.position, sightOf(camera, x, y, width, height), faded);
    tip.hidden = !hit;
    if (!hit) return;
    const { title, note } = scene.parts[hit.place];
    tip.textContent = note ? `${title}: ${note}` : title;
    tip.style.transform = `translate(${Math.min(x + 14, width - tip.offsetWidth - 4)}px, ${Math.max(y - 34, 4)}px)`;
  }

  listen(canvas, {
    look, zoomed, tell, height: () => size()[1], camera: () => camera, leave: () => { tip.hidden = true; },
    views: { ...viewsOf(scene), "0": firstCamera, Home: firstCamera }, flip: () => find("cutaway").click(),
  });
  for (const button of document.querySelectorAll("button[data-view]"))
    button.addEventListener("click", () => look(({ ...viewsOf(scene), 0: firstCamera })[button.dataset.view](camera)));
  for (const box of boxes) box.addEventListener("change", () => { shown[box.dataset.part] = box.checked; marks(); ask(); });
  for (const group of document.querySelectorAll("input[data-group]")) group.addEventListener("change", () => {
    for (const box of boxes.filter((one) => one.dataset.of === group.dataset.group && !one.disabled)) {
      box.checked = group.checked;
      shown[box.dataset.part] = box.checked;
    }
    marks();
    ask();
  });
  find("cutaway").addEventListener("change", () => ask());
  function marks() {
    for (const group of document.querySelectorAll("input[data-group]")) {
      const of = boxes.filter((box) => box.dataset.of === group.dataset.group && !box.disabled);
      group.checked = of.some((box) => box.checked);
      group.indeterminate = group.checked && of.some((box) => !box.checked);
    }
  }
  for (const swatch of document.querySelectorAll("[data-colours]")) {
    const colours = swatch.dataset.colours.split(" "), part = 100 / colours.length;
    swatch.style.background = `linear-gradient(90deg, ${colours.map((one, n) => `${one} ${n * part}% ${(n + 1) * part}%`).join(", ")})`;
  }

  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    clearTimeout(quiet);
    inWords("The graphics card gave the picture up; it comes back by itself, or when the page is loaded again.");
  });
  canvas.addEventListener("webglcontextrestored", () => {
    document.body.classList.remove("in-words");
    painter = new Painter(canvas, scene, bytes);
    ask();
  });
  new ResizeObserver(() => ask()).observe(area);

  camera = firstCamera();
  paint(FULL);
  painter.finish();
  words(false);
  canvas.dataset.firstMs = Math.round(performance.now());
  canvas.dataset.blended = painter.blends;
  quiet = setTimeout(paintStill, 0);
}

function viewsOf(scene) {
  const head = [0, 0, 1], front = [0, -1, 0];
  const from = (back, up) => (camera) => lookedAtFrom(camera, back, up);
  const views = {
    a: from([0, -1, 0], head), p: from([0, 1, 0], head), l: from([1, 0, 0], head), r: from([-1, 0, 0], head),
    s: from([0, 0, 1], front), i: from([0, 0, -1], front),
  };
  if (scene.shaft && scene.needle_drawn) views.n = from(unit(sub(scene.shaft[0], scene.shaft[1])), scene.camera.up);
  return views;
}

function listen(canvas, page) {
  const held = new Map();
  let wandered = 0, hovering = 0, panning = false;
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at(event));
    if (held.size === 1) wandered = 0;
    panning = event.button === 2 || event.button === 1 || event.shiftKey;
    clearTimeout(hovering);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event), before = held.get(event.pointerId);
    if (!before) {
      clearTimeout(hovering);
      page.leave();
      if (event.pointerType === "mouse") hovering = setTimeout(() => page.tell(x, y), HOVER_MS);
      return;
    }
    const dx = x - before[0], dy = y - before[1], other = [...held.entries()].find(([id]) => id !== event.pointerId);
    wandered += Math.abs(dx) + Math.abs(dy);
    held.set(event.pointerId, [x, y]);
    if (wandered < 4) return;
    if (other) {
      const [ox, oy] = other[1], gap = Math.hypot(before[0] - ox, before[1] - oy) / Math.max(Math.hypot(x - ox, y - oy), 1);
      page.look(moved(page.zoomed(gap), dx / 2, dy / 2, page.height()));
    } else if (panning) page.look(moved(page.camera(), dx, dy, page.height()));
    else page.look(turned(page.camera(), dx * 0.008, dy * 0.008));
  });
  const up = (event) => {
    const alone = held.size === 1;
    if (held.delete(event.pointerId) && alone && wandered < 4 && event.type === "pointerup") page.tell(...at(event));
  };
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, up);
  canvas.addEventListener("pointerleave", () => { clearTimeout(hovering); page.leave(); });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    page.look(page.zoomed(Math.exp(Math.min(Math.max(event.deltaY * lines, -300), 300) * 0.0012)));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, arrow = arrows[key];
    if (arrow && event.shiftKey) page.look(moved(page.camera(), STEP_PX * arrow[0], STEP_PX * arrow[1], page.height()));
    else if (arrow) page.look(turned(page.camera(), TURN * arrow[0], TURN * arrow[1]));
    else if (key === "+" || key === "=") page.look(page.zoomed(1 / 1.12));
    else if (key === "-" || key === "_") page.look(page.zoomed(1.12));
    else if (key === "c") page.flip();
    else if (Object.hasOwn(page.views, key)) page.look(page.views[key](page.camera()));
    else return;
    event.preventDefault();
  });
}

function made(kind, into, words = "", name = "") {
  const element = document.createElement(kind);
  element.textContent = words;
  if (name) element.className = name;
  into.append(element);
  return element;
}

function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes.buffer;
}

function inWords(why) {
  document.body.classList.add("in-words");
  find("why").textContent = why;
}

try {
  start();
} catch (error) {
  inWords(`This browser cannot draw the picture (${error.message}). What it would show, in words:`);
}
