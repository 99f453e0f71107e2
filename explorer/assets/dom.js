// Elements from data. Text always goes in as text: nothing here parses HTML.

/**
 * Makes an element. `props`: `class`, `text`, `data` (dataset), `on…` listeners; a boolean sets or omits the
 * attribute; null and undefined are skipped; the rest are attributes. Children are nodes or texts; null is skipped.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) setProp(node, key, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function setProp(node, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key === "text") node.textContent = value;
  else if (key === "class") node.className = value;
  else if (key === "data") Object.assign(node.dataset, value);
  else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
  else node.setAttribute(key, value === true ? "" : String(value));
}

/** The parts of a name such as MY_MODULE_FILE, which may be broken into lines after its underscores. */
export function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, index) => (index === 0 ? [part] : [el("wbr"), part]));
}

/** Sets a text only when it differs, so that selections and live regions are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Puts `nodes` into `parent` in this order, moving only what is out of place (focus and frames survive). */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}
