// The scene drawn with WebGL 2: opaque parts, then translucent ones in no order (weighted blended, McGuire and Bavoil,
// JCGT 2013;2(2):122), then the needle once more over all. Light and alpha as in view/render.py and view/meshes.py.

const VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec3 place;
layout(location = 1) in vec2 unfolded;
layout(location = 2) in vec4 colour;
uniform vec3 low, size, eye, right, up, back;
uniform vec4 lens;   // 1 / tan of half the angle, that / aspect, near, far
uniform vec2 cut;    // reach of the cutaway (mm; 0: none), alpha inside it
uniform vec4 fan[3];     // lines of sight to the shaft fill a fan: its x and y axis and the direction of its far side,
                         // each from the eye; how far it reaches along its near side, along its far side, and nothing
uniform int sights;
uniform vec4 sight[16];  // from the eye towards what else must be seen, and until how far
out vec3 seen, normal;
out vec4 paint;
out vec2 fading;  // (1 - |n.v|)^2.5, and how far from the lines of sight (mm)
void main() {
  vec3 mm = low + size * place, offset = mm - eye;
  vec3 n = vec3(unfolded, 1.0 - abs(unfolded.x) - abs(unfolded.y));
  vec2 fold = vec2(max(-n.z, 0.0));
  n.xy += mix(fold, -fold, greaterThanEqual(n.xy, vec2(0.0)));
  n = normalize(n);
  fading = vec2(pow(clamp(1.0 - abs(dot(n, normalize(offset))), 0.0, 1.0), 2.5), 99.0);
  if (cut.x > 0.0) {
    float x = dot(offset, fan[0].xyz), y = dot(offset, fan[1].xyz), z = dot(offset, fan[2].xyz);
    float fx = dot(fan[2].xyz, fan[0].xyz), fy = dot(fan[2].xyz, fan[1].xyz), turn = fx * y - fy * x, along = 0.0;
    if (y <= 0.0) along = x < fan[0].w ? x : 0.0;
    else if (turn >= 0.0) along = z < fan[1].w ? z : 0.0;
    else if (fan[1].w * fy * x + (fan[0].w - fan[1].w * fx) * y < fan[0].w * fan[1].w * fy) along = length(vec2(x, y));
    for (int i = 0; i < sights; i++) {
      float part = dot(offset, sight[i].xyz);
      if (part < sight[i].w) along = max(along, part);
    }
    fading.y = min(sqrt(max(dot(offset, offset) - along * along, 0.0)), cut.x + 9.0);
  }
  paint = colour;
  seen = vec3(dot(offset, right), dot(offset, up), dot(offset, back));
  normal = vec3(dot(n, right), dot(n, up), dot(n, back));
  gl_Position = vec4(lens.y * seen.x, lens.x * seen.y,
    (-seen.z * (lens.w + lens.z) - 2.0 * lens.w * lens.z) / (lens.w - lens.z), -seen.z);
}`;

const FRAGMENT = `
precision highp float;
in vec3 seen, normal;
in vec4 paint;
in vec2 fading;
uniform vec4 lens;
uniform vec3 ghost;    // alpha = x + y * fading.x + z * paint.a * what the cutaway leaves
uniform vec2 cut;
uniform vec4 surface;  // ambient, diffuse, specular, its power
layout(location = 0) out vec4 first;
#ifdef BLENDED
layout(location = 1) out vec4 second;
#endif
const vec3 TOWARDS[3] = vec3[](vec3(-0.49236, 0.61546, 0.61546), vec3(0.84954, 0.09439, 0.51916), vec3(0.0, 0.0, 1.0));
const vec3 LIGHT[3] = vec3[](0.80 * vec3(1.0, 0.965, 0.91), 0.30 * vec3(0.80, 0.90, 1.0), 0.20 * vec3(1.0));
void main() {
  float left = cut.x > 0.0 ? cut.y + (1.0 - cut.y) * clamp((fading.y - cut.x) / 3.0, 0.0, 1.0) : 1.0;
  float alpha = clamp(ghost.x + ghost.y * fading.x + ghost.z * paint.a * left, 0.0, 1.0);
  vec3 lit = surface.x * paint.rgb;
  if (surface.y > 0.0) {
    vec3 n = normalize(gl_FrontFacing ? normal : -normal), shine = vec3(0.0), light = vec3(0.0);
    for (int i = 0; i < 3; i++) light += max(dot(n, TOWARDS[i]), 0.0) * LIGHT[i];
    if (surface.z > 0.0) {
      vec3 mirrored = reflect(normalize(seen), n);
      for (int i = 0; i < 3; i++) shine += pow(max(dot(mirrored, TOWARDS[i]), 0.0), surface.w) * LIGHT[i];
    }
    lit += surface.y * light * paint.rgb + surface.z * shine;
  }
  lit = min(lit, vec3(1.0));
#ifdef BLENDED
  float depth = clamp((-seen.z - lens.z) / (lens.w - lens.z), 0.0, 1.0);
  float weight = alpha * clamp(300.0 * pow(1.0 - depth, 4.0), 0.02, 300.0);
  first = vec4(lit * weight, alpha);
  second = vec4(weight, 0.0, 0.0, 0.0);
#else
  first = vec4(lit, alpha);
#endif
}`;

const SHEET = `#version 300 es
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  gl_Position = vec4(2.0 * at - 1.0, 0.0, 1.0);
}`;
const SHEETS = {
  ground: `in vec2 at; uniform vec3 low, high; out vec4 first;
    void main() { first = vec4(mix(low, high, at.y), 1.0); }`,
  blend: `in vec2 at; uniform sampler2D sums, weights; out vec4 first;
    void main() {
      vec4 sum = texture(sums, at);
      first = vec4(sum.rgb / max(texture(weights, at).r, 1e-5), 1.0 - sum.a);
    }`,
};

const SURFACES = {
  solid: [0.09, 0.95, 0.14, 22], clear: [0.09, 0.95, 0, 22], shiny: [0.5, 0.6, 0.9, 60], flat: [1, 0, 0, 1],
};
const GHOSTS = {
  solid: [0, 0, 1], entries: [0, 0, 1], skin: [0.03, 0.3, 0.13], ghost: [0.03, 0.35, 0], uptake: [0.22, 0.55, 0], inside: [0.08, 0.4, 0], front: [0.02, 0.55, 0],
};

class Painter {
  constructor(canvas, scene, bytes) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false, alpha: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.scene = scene;
    this.blends = Boolean(gl.getExtension("EXT_color_buffer_float") || gl.getExtension("EXT_color_buffer_half_float"));
    const shades = (name) => program(gl, VERTEX, `#version 300 es\n#define ${name}\n${FRAGMENT}`);
    this.programs = { over: shades("OVER") };
    if (this.blends) this.programs.blended = shades("BLENDED");
    for (const [name, text] of Object.entries(SHEETS))
      this.programs[name] = program(gl, SHEET, `#version 300 es\nprecision highp float;\n${text}`);
    this.bare = gl.createVertexArray();
    this.parts = scene.parts.map((part) => new Mesh(gl, part, bytes));
    this.needle = Object.fromEntries(Object.entries(scene.needle).map(([name, one]) => [name, new Mesh(gl, one, bytes)]));
    this.figure = new Mesh(gl, scene.figure, bytes);
    this.targets = { width: 0, height: 0 };
  }

  // Draws and gives back nothing. camera: position, focal, up, angle; pixels: device pixels (width, height), and how
  // many times finer it is drawn; shown: which parts; sights: what is faded for (null: nothing is);
  // pixelMm: size of a pixel at the needle; corner: [left, bottom, side] of the figure in device pixels.
  draw({ camera, width, height, finer, shown, sights, pixelMm, corner }) {
    const gl = this.gl, w = Math.round(width * finer), h = Math.round(height * finer);
    if (gl.canvas.width !== width || gl.canvas.height !== height) [gl.canvas.width, gl.canvas.height] = [width, height];
    this.resize(w, h);
    const axes = cameraAxes(camera), focal = 1 / Math.tan((camera.angle * Math.PI) / 360);
    const [near, far] = this.depths(camera, axes.back);
    const view = { eye: camera.position, ...axes, lens: [focal, (focal * h) / w, near, far], sights };
    const cuts = this.parts.map((part) => cutOf(part.is, sights));
    for (const mesh of Object.values(this.needle)) mesh.shape(pixelMm, this.scene.sizes);

    gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets.picture);
    gl.viewport(0, 0, w, h);
    gl.disable(gl.BLEND);
    gl.depthMask(true);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    gl.disable(gl.DEPTH_TEST);
    this.sheet("ground", { low: this.scene.ground[0], high: this.scene.ground[1] });

    gl.enable(gl.DEPTH_TEST);
    this.begin("over", view);
    for (const part of this.nearFirst(axes.back)) {
      const place = this.parts.indexOf(part);
      const image = part.is.look === "image";
      if (!shown[place] || (part.is.look !== "solid" && !image)) continue;
      part.cut(cuts[place], sights);
      gl[part.thin || image ? "disable" : "enable"](gl.CULL_FACE);  // through a faded wall the far one is seen from inside
      this.mesh(part, image ? SURFACES.flat : SURFACES.solid, GHOSTS.solid, CUTS.none);
    }
    gl.enable(gl.CULL_FACE);
    if (this.needle.shiny) this.mesh(this.needle.shiny, SURFACES.shiny, GHOSTS.solid, CUTS.none);
    if (this.needle.halos) this.mesh(this.needle.halos, SURFACES.flat, GHOSTS.solid, CUTS.none);

    gl.depthMask(false);
    gl.enable(gl.BLEND);
    this.translucent(view, shown, cuts);

    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.begin("over", view);
    for (const [name, look] of [["cone", "front"], ["hidden", "solid"], ["gaps", "solid"]])
      if (this.needle[name]) this.mesh(this.needle[name], SURFACES.flat, GHOSTS[look], CUTS.none);

    gl.disable(gl.BLEND);
    gl.disable(gl.CULL_FACE);
    this.person(axes, corner.map((value) => Math.round(value * finer)));
    gl.bindVertexArray(null);
    this.copy(null, width, height);
    gl.deleteSync(this.fence || null);
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  }

  translucent(view, shown, cuts) {
    const gl = this.gl;
    gl.disable(gl.CULL_FACE);
    if (this.blends) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets.sums);
      gl.clearBufferfv(gl.COLOR, 0, [0, 0, 0, 1]);
      gl.clearBufferfv(gl.COLOR, 1, [0, 0, 0, 0]);
      gl.blendFuncSeparate(gl.ONE, gl.ONE, gl.ZERO, gl.ONE_MINUS_SRC_ALPHA);
    } else gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.begin(this.blends ? "blended" : "over", view);
    this.parts.forEach((part, place) => {
      if (!shown[place] || part.is.look === "image") return;
      if (part.is.look !== "solid") this.mesh(part, SURFACES.clear, GHOSTS[part.is.look], cuts[place]);
      else if (part.thin) this.mesh(part, SURFACES.clear, GHOSTS.solid, cuts[place], true);
    });
    if (this.needle.cone) this.mesh(this.needle.cone, SURFACES.clear, GHOSTS.inside, CUTS.none);

    if (!this.blends) return;
    gl.disable(gl.DEPTH_TEST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets.picture);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.sheet("blend", {}, { sums: this.targets.summed, weights: this.targets.weighed });
  }

  // What was drawn, averaged or stretched into another frame.
  copy(into, width, height) {
    const gl = this.gl;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.targets.picture);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, into);
    gl.blitFramebuffer(0, 0, this.targets.width, this.targets.height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.LINEAR);
    gl.bindFramebuffer(gl.FRAMEBUFFER, into);
  }

  person(axes, [left, bottom, side]) {
    const gl = this.gl, focal = 1 / Math.tan((12 * Math.PI) / 180), away = 6.3;
    gl.viewport(left, bottom, side, side);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(left, bottom, side, side);
    gl.clearColor(...this.scene.ground[1], 1);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.disable(gl.SCISSOR_TEST);
    gl.enable(gl.DEPTH_TEST);
    this.begin("over", { eye: add([0, 0, 0], axes.back, away), ...axes, lens: [focal, focal, 3, 10], sights: null });
    this.mesh(this.figure, SURFACES.solid, GHOSTS.solid, CUTS.none);
  }

  // How busy the picture is, 0..1, in few cells: { columns, rows, values from the top }.
  busy() {
    const gl = this.gl, columns = 96, rows = Math.max(8, Math.round((96 * this.targets.height) / this.targets.width));
    const small = texture(gl, columns, rows, gl.RGBA8, gl.LINEAR), into = frame(gl, [small]);
    this.copy(into, columns, rows);
    const pixels = new Uint8Array(4 * columns * rows), values = new Float32Array(columns * rows);
    gl.readPixels(0, 0, columns, rows, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.deleteFramebuffer(into);
    gl.deleteTexture(small);
    for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
      const from = 4 * ((rows - 1 - y) * columns + x), most = Math.max(pixels[from], pixels[from + 1], pixels[from + 2]);
      values[y * columns + x] = Math.min(Math.max((most - 45) / 110, 0), 1);
    }
    return { columns, rows, values };
  }

  // Waits until all is drawn.
  finish() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  // Whether all that was asked for is drawn.
  isDone() {
    const gl = this.gl;
    if (this.fence && gl.clientWaitSync(this.fence, 0, 0) === gl.TIMEOUT_EXPIRED) return false;
    gl.deleteSync(this.fence || null);
    this.fence = null;
    return true;
  }

  begin(name, view) {
    this.program = this.programs[name];
    this.gl.useProgram(this.program.made);
    for (const key of ["eye", "right", "up", "back", "lens"]) this.set(key, view[key]);
    if (!view.sights) return;
    this.gl.uniform4fv(this.program.at["fan[0]"], view.sights.fan.flat());
    this.gl.uniform1i(this.program.at.sights, view.sights.spots.length);
    this.gl.uniform4fv(this.program.at["sight[0]"], view.sights.spots.flat());
  }

  set(name, values) {
    const at = this.program.at[name];
    if (at) this.gl[`uniform${values.length}fv`](at, values);
  }

  // thin: what of it the cutaway fades; otherwise all, or what the cutaway leaves
  mesh(mesh, surface, ghost, cut, thin = false) {
    const corners = thin ? mesh.thin : mesh.solid;
    if (!corners) return;
    this.set("low", mesh.is.low);
    this.set("size", mesh.is.size);
    this.set("surface", surface);
    this.set("ghost", ghost);
    this.set("cut", cut);
    const gl = this.gl, from = thin ? mesh.solid * mesh.is.indices.BYTES_PER_ELEMENT : 0;
    gl.bindVertexArray(mesh.array);
    gl.drawElements(gl.TRIANGLES, corners, mesh.is.wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, from);
  }

  sheet(name, values, textures = {}) {
    const gl = this.gl;
    this.program = this.programs[name];
    gl.useProgram(this.program.made);
    for (const [key, value] of Object.entries(values)) this.set(key, value);
    Object.entries(textures).forEach(([key, one], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, one);
      gl.uniform1i(this.program.at[key], unit);
    });
    gl.bindVertexArray(this.bare);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // So that what is hidden is not painted first
  nearFirst(back) {
    const away = (part) => dot(part.is.middle, back) + part.is.radius;
    return [...this.parts].sort((one, other) => away(other) - away(one));
  }

  depths(camera, back) {
    let near = Infinity, far = 1;
    for (const { is } of [...this.parts, ...Object.values(this.needle)]) {
      const depth = -dot(sub(is.middle, camera.position), back);
      [near, far] = [Math.min(near, depth - is.radius), Math.max(far, depth + is.radius)];
    }
    return [Math.max(near, far / 500, 0.5), far + 1];
  }

  resize(width, height) {
    const gl = this.gl, old = this.targets;
    if (old.width === width && old.height === height) return;
    for (const name of ["drawn", "summed", "weighed"]) if (old[name]) gl.deleteTexture(old[name]);
    for (const name of ["picture", "sums"]) if (old[name]) gl.deleteFramebuffer(old[name]);
    if (old.depth) gl.deleteRenderbuffer(old.depth);
    const made = (this.targets = { width, height });
    made.drawn = texture(gl, width, height, gl.RGBA8, gl.LINEAR);
    made.depth = gl.createRenderbuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, made.depth);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height);
    made.picture = frame(gl, [made.drawn], made.depth);
    if (!this.blends) return;
    made.summed = texture(gl, width, height, gl.RGBA16F, gl.NEAREST);
    made.weighed = texture(gl, width, height, gl.R16F, gl.NEAREST);
    made.sums = frame(gl, [made.summed, made.weighed], made.depth);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) this.blends = false;
  }
}

// One mesh on the graphics card. `is` says how to read it, and where it lies.
class Mesh {
  constructor(gl, packed, bytes) {
    const [places, dress, corners] = packed.at, count = packed.vertices;
    this.gl = gl;
    this.is = { ...packed, middle: add(packed.low, packed.size, 0.5), radius: 0.5 * length(packed.size) };
    this.is.places = new Uint16Array(bytes, places, 3 * count * packed.frames);
    this.is.indices = new (packed.wide ? Uint32Array : Uint16Array)(bytes, corners, packed.corners);
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    this.buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.is.places.subarray(0, 3 * count), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, 6, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Uint8Array(bytes, dress, 6 * count), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 2, gl.BYTE, true, 6, 0);
    gl.enableVertexAttribArray(2);
    gl.vertexAttribPointer(2, 4, gl.UNSIGNED_BYTE, true, 6, 2);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.is.indices, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    [this.solid, this.thin] = [packed.corners, 0];  // how many corners of either kind, in this order
  }

  // Part its triangles into what the cutaway leaves and what it fades.
  cut(cut, sights) {
    if (cut === CUTS.none && !this.thin) return;
    const [solid, thin] = cut === CUTS.none ? [this.is.indices, []] : parted(this.is, sights, cut);
    this.gl.bindVertexArray(this.array);
    if (thin.length || this.thin) {
      this.gl.bufferSubData(this.gl.ELEMENT_ARRAY_BUFFER, 0, solid);
      if (thin.length) this.gl.bufferSubData(this.gl.ELEMENT_ARRAY_BUFFER, solid.byteLength, thin);
    }
    [this.solid, this.thin] = [solid.length, thin.length];
  }

  // Of several shapes, each for a size of a pixel, the one for this size.
  shape(pixelMm, sizes) {
    if (this.is.frames < 2 || pixelMm === this.shapedFor) return;
    this.shapedFor = pixelMm;
    let place = 0;
    while (place < sizes.length - 2 && sizes[place + 1] < pixelMm) place++;
    const share = Math.min(Math.max((pixelMm - sizes[place]) / (sizes[place + 1] - sizes[place]), 0), 1);
    const many = 3 * this.is.vertices, before = place * many, after = before + many, now = new Uint16Array(many);
    for (let i = 0; i < many; i++)
      now[i] = Math.round(this.is.places[before + i] * (1 - share) + this.is.places[after + i] * share);
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffer);
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, 0, now);
  }
}

function program(gl, vertex, fragment) {
  const made = gl.createProgram(), at = {};
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = gl.getAttachedShaders(made).map((shader) => gl.getShaderInfoLog(shader));
    throw new Error([...logs, gl.getProgramInfoLog(made)].join(" "));
  }
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    at[name] = gl.getUniformLocation(made, name);
  }
  return { made, at };
}

function texture(gl, width, height, format, filter) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0);
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  return made;
}

function frame(gl, textures, depth = null) {
  const made = gl.createFramebuffer(), places = textures.map((_, place) => gl.COLOR_ATTACHMENT0 + place);
  gl.bindFramebuffer(gl.FRAMEBUFFER, made);
  textures.forEach((one, place) => gl.framebufferTexture2D(gl.FRAMEBUFFER, places[place], gl.TEXTURE_2D, one, 0));
  if (depth) gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, depth);
  gl.drawBuffers(places);
  return made;
}
