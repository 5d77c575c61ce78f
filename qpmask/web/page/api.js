// Asks the server. Addresses are relative to the page's own, which holds the token.

export const base = location.pathname.replace(/[^/]*$/, "");

export class ServerError extends Error {
  constructor(status, message, hint) {
    super(hint ? `${message} ${hint}` : message);
    this.status = status;
  }
}

async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(base + path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(0, "The server does not answer. Is qpmask serve still running?");
  }
  if (answer.ok) return answer;
  let said = {};
  try { said = await answer.json(); } catch { /* an answer without words */ }
  throw new ServerError(answer.status, said.error || `The server answered ${answer.status}.`, said.hint);
}

export const getJson = async (path, signal) => (await ask(path, signal)).json();
export const getBytes = async (path, signal) => (await ask(path, signal)).arrayBuffer();

// Makes an element: make("p", { class: "x", text: "y", onclick }, child, ...).
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(key, value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// What people should know, above the picture; the same words once.
export function note(text) {
  const notes = document.getElementById("notes");
  if ([...notes.querySelectorAll("span")].some((one) => one.textContent === text)) return;
  const line = make("p", {}, make("span", { text }));
  line.append(make("button", { type: "button", text: "×", "aria-label": "Close this note", onclick: () => line.remove() }));
  notes.append(line);
}

export function clearNotes() {
  document.getElementById("notes").replaceChildren();
}

export function areaText(mm2) {
  if (mm2 === null || mm2 === undefined || mm2 === 0) return "";
  if (mm2 >= 0.01) return `${mm2.toPrecision(3)} mm²`;
  return `${Math.round(mm2 * 1e6).toLocaleString("en")} µm²`;
}

export function shareText(share) {
  const percent = 100 * share;
  if (percent === 0) return "0 %";
  if (percent < 0.1) return "< 0.1 %";
  if (percent > 99.9 && percent < 100) return "> 99.9 %";
  return `${percent.toFixed(1)} %`;
}
