// The side panel's list of layers and classes: shown or not, colour, share of the view and the image.

import { areaText, make, shareText } from "./api.js";

// told: { toggle(layer, label), only(layer, label), recolor(layer, label, color), layer(index) }
export class Legend {
  constructor(image, told) {
    this.image = image;
    this.told = told;
    this.element = make("div", {});
    this.shares = new Map(); // "layer:label" -> cell
    this.rows = new Map();
    this.checks = new Map();
    this.heads = image.layers.map((layer, index) => this.addLayer(layer, index));
  }

  addLayer(layer, index) {
    const shown = make("input", { type: "checkbox", onchange: () => this.told.layer(index) });
    this.element.append(make("h3", {}, make("label", {}, shown, make("span", { text: layer.title }))));
    const table = make("table");
    const total = layer.width * layer.height;
    table.append(make("tr", {}, make("th"), make("th"), make("th", { class: "name" }), make("th", { text: "view", title: "Share of what is shown" }),
      make("th", { text: layer.classes.some((row) => row.pixels !== null) ? "image" : "", title: "Share of the whole image" })));
    const absent = layer.classes.filter((row) => row.pixels === 0);
    for (const row of layer.classes.filter((one) => one.pixels !== 0)) table.append(this.addRow(index, row, total));
    const rest = absent.map((row) => this.addRow(index, row, total));
    if (rest.length) {
      const more = make("button", { type: "button", text: `${rest.length} more that do not occur`, "aria-expanded": "false", onclick: () => {
        const isOpen = more.getAttribute("aria-expanded") === "true";
        more.setAttribute("aria-expanded", String(!isOpen));
        for (const line of rest) line.hidden = isOpen;
      } });
      for (const line of rest) line.hidden = true;
      table.append(make("tr", {}, make("td", { colspan: 5, class: "more" }, more)), ...rest);
    }
    this.element.append(table);
    return { shown, table };
  }

  addRow(index, row, total) {
    const key = `${index}:${row.label}`;
    const check = make("input", {
      type: "checkbox", "aria-label": `Show ${row.name}`,
      onchange: () => this.told.toggle(index, row.label),
    });
    const color = make("input", { type: "color", value: row.color, "aria-label": `Colour of ${row.name}`, oninput: (event) => this.told.recolor(index, row.label, event.target.value) });
    const share = make("td", { class: "share" });
    const line = make("tr", { "data-label": row.label },
      make("td", {}, check), make("td", {}, color),
      make("td", { class: "name", title: `Label ${row.label}. Double-click: only this one`, ondblclick: () => this.told.only(index, row.label) }, row.name, make("small", { text: areaText(row.area_mm2) })),
      share, make("td", { text: row.pixels === null ? "" : shareText(row.pixels / total) }));
    this.shares.set(key, share);
    this.rows.set(key, line);
    this.checks.set(key, [check, color]);
    return line;
  }

  show(state, layers) {
    this.heads.forEach(({ shown, table }, index) => {
      shown.checked = layers.includes(index);
      table.hidden = !shown.checked;
    });
    for (const [key, [check, color]] of this.checks) {
      const [index, label] = key.split(":").map(Number);
      check.checked = !state.off.get(index)?.has(label);
      this.rows.get(key).classList.toggle("off", !check.checked);
      color.value = state.colors.get(key) ?? this.image.layers[index].classes.find((row) => row.label === label).color;
    }
  }

  // counts: layer -> Map(label -> pixels of the screen); objects: layer -> class of each object
  seen(counts, total, objects) {
    for (const [index, found] of counts) {
      const byClass = new Map();
      const of = objects.get(index);
      for (const [label, n] of found) {
        const key = of ? of[label] ?? 0 : label;
        byClass.set(key, (byClass.get(key) ?? 0) + n);
      }
      for (const row of this.image.layers[index].classes) {
        this.shares.get(`${index}:${row.label}`).textContent = total ? shareText((byClass.get(row.label) ?? 0) / total) : "";
      }
    }
  }
}
