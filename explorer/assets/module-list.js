// The list of modules at the side: name, state, grouped by category.
import { arrange, el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { categoryOf, nameOf } from "./module-store.js";

export class ModuleList {
  #groups = new Map();
  #items = new Map();

  constructor(root) {
    this.root = root;
  }

  /** Shows `modules` (in order), marking the one with id `selected`. Existing entries are updated in place. */
  show(modules, selected) {
    const byCategory = new Map();
    for (const module of modules) {
      const category = categoryOf(module);
      byCategory.set(category, [...(byCategory.get(category) ?? []), this.#item(module, module.id === selected)]);
    }
    forget(this.#items, new Set(modules.map((module) => module.id)));
    forget(this.#groups, new Set(byCategory.keys()));
    const groups = [...byCategory].map(([category, items]) => this.#group(category, items));
    arrange(this.root, groups);
  }

  #group(category, items) {
    if (!this.#groups.has(category)) {
      this.#groups.set(category, el("section", { class: "group", "aria-label": category },
        el("h2", { text: category }), el("ul", {})));
    }
    const group = this.#groups.get(category);
    arrange(group.lastChild, items);
    return group;
  }

  #item(module, selected) {
    if (!this.#items.has(module.id)) this.#items.set(module.id, makeItem(module.id));
    const item = this.#items.get(module.id);
    const [link] = item.children;
    const [dot, name, state] = link.children;
    dot.dataset.tone = module.state.tone;
    setText(name, nameOf(module));
    setText(state, module.state.short);
    if (selected) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    return item;
  }
}

function makeItem(id) {
  return el("li", { data: { module: id } },
    el("a", { href: `#${encodeURIComponent(id)}` },
      el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", { class: "name" }),
      el("span", { class: "word" })));
}

function forget(map, keep) {
  for (const key of map.keys()) if (!keep.has(key)) map.delete(key);
}

/** What stands in the main area while there is no module at all. */
export function emptyState() {
  return el("section", { class: "empty", "aria-labelledby": "empty-title" },
    icon("folder", 44),
    el("h1", { id: "empty-title", text: "No modules yet" }),
    el("p", { text: "A module is a folder with its settings and a small program. Put one into the server's modules folder:" }),
    el("pre", { text: "modules/\n  MyModule/\n    modulesettings.json\n    my_module_adapter.py" }),
    el("p", { text: "It is noticed, installed and started without a restart, and then appears here." }));
}
