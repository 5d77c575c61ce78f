// What is seen, as the part of the address behind "#": a link opens the same view.
//
// image=N & x, y: middle of the view in pixels of the image & d: pixels of the image in one of the
// screen & off=LAYER:LABEL,LABEL;... classes switched off & on=LAYER,... layers that are shown
// & color=LAYER:LABEL:RRGGBB;... & fade=0..1 & line=1 & slide=0 & by=instance
// & with=A,B,side|difference & patches=FILE,WHAT

export function read() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (!words.has("image")) return null;
  const number = (name) => {
    const value = Number.parseFloat(words.get(name));
    return Number.isFinite(value) ? value : null;
  };
  const lists = (name) => (words.get(name) || "").split(";").filter(Boolean).map((part) => part.split(":"));
  const off = new Map(lists("off").map(([layer, labels]) => [Number(layer), new Set((labels || "").split(",").map(Number))]));
  const colors = new Map();
  for (const [layer, label, color] of lists("color")) {
    if (/^[0-9a-f]{6}$/i.test(color || "")) colors.set(`${layer}:${label}`, `#${color}`);
  }
  const pair = (words.get("with") || "").split(",");
  const patches = words.get("patches")?.match(/^(\d+),(.+)$/);
  return {
    image: Math.max(0, Math.trunc(number("image") ?? 0)),
    x: number("x"), y: number("y"), d: number("d"),
    off, colors,
    on: words.has("on") ? new Set(words.get("on").split(",").filter(Boolean).map(Number)) : null,
    fade: clamp(number("fade")),
    line: words.get("line") === "1",
    slide: words.get("slide") !== "0",
    byInstance: words.get("by") === "instance",
    pair: pair.length === 3 && ["side", "difference"].includes(pair[2])
      ? { a: Math.trunc(Number(pair[0])), b: Math.trunc(Number(pair[1])), how: pair[2] } : null,
    patches: patches ? { file: Number(patches[1]), what: patches[2] } : null,
  };
}

// What a link says that this image does not have is left out.
export function fit(state, image) {
  const has = (index) => index >= 0 && index < image.layers.length;
  for (const index of state.off.keys()) if (!has(index)) state.off.delete(index);
  if (state.on !== null) state.on = new Set([...state.on].filter(has));
  if (state.pair && !(has(state.pair.a) && has(state.pair.b))) state.pair = null;
  if (state.patches && !(state.patches.file >= 0 && state.patches.file < image.patches.length)) state.patches = null;
  if (!(state.d > 0)) state.x = state.y = state.d = null;
}

function clamp(value) {
  return value === null ? null : Math.min(1, Math.max(0, value));
}

export function write(state) {
  const words = [`image=${state.image}`];
  const add = (name, value) => { if (value !== null && value !== "") words.push(`${name}=${value}`); };
  const round = (value) => (value === null ? null : Number(value.toPrecision(8)));
  add("x", round(state.x));
  add("y", round(state.y));
  add("d", round(state.d));
  add("on", state.on === null ? null : [...state.on].join(","));
  add("off", [...state.off].filter(([, labels]) => labels.size).map(([layer, labels]) => `${layer}:${[...labels].join(",")}`).join(";"));
  add("color", [...state.colors].map(([key, color]) => `${key}:${color.slice(1)}`).join(";"));
  add("fade", state.fade);
  add("line", state.line ? "1" : "");
  add("slide", state.slide ? "" : "0");
  add("by", state.byInstance ? "instance" : "");
  add("with", state.pair ? `${state.pair.a},${state.pair.b},${state.pair.how}` : "");
  add("patches", state.patches ? `${state.patches.file},${encodeURIComponent(state.patches.what)}` : "");
  history.replaceState(null, "", `#${words.join("&")}`);
}
