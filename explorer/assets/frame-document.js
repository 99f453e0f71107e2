// Composes the document of a module's page: theme, class names, shared elements, helper functions, the three parts.

/** The HTML text for an iframe's srcdoc. `theme` is "light", "dark" or undefined (follow the system). */
export function frameDocument(module, page, base, theme) {
  const doc = document.implementation.createHTMLDocument(module.id);
  if (theme) doc.documentElement.dataset.theme = theme;
  doc.documentElement.lang = "en";
  doc.head.append(
    make(doc, "meta", { charset: "utf-8" }),
    make(doc, "base", { target: "_blank" }), // a followed link must not take the page, and its running reply, away
    ...["server.css", "bootstrap-dark.min.css", "frame.css"].map((name) =>
      make(doc, "link", { rel: "stylesheet", href: asset(base, name) })),
    make(doc, "style", { id: "module-style" }, page.css ? guardStyle(page.css) : ""),
  );
  doc.body.className = "mr-frame";
  doc.body.append(
    moduleMarkup(doc, module, page.html),
    ...sharedElements(doc, base, usesSubmitRequest(page)),
    ...["server.js", "explorer.js", "follow.js"].map((name) => make(doc, "script", { src: asset(base, name) })),
    make(doc, "script", { id: "module-script" }, guardScript(page.script)),
  );
  return `<!doctype html>${doc.documentElement.outerHTML}`;
}

function asset(base, name) {
  return new URL(`assets/${name}`, base).href;
}

function make(doc, tag, attributes = {}, text = "") {
  const node = doc.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
}

// The markup is parsed apart, so that an unclosed tag in it cannot swallow what follows; its scripts do not run,
// as module pages expect.
function moduleMarkup(doc, module, html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  for (const script of parsed.querySelectorAll("script")) script.remove();
  const box = make(doc, "div", {
    class: `moduleui ${module.status.queue ?? ""}`.trim(), "data-moduleid": module.id, "data-routes": routesOf(module),
  });
  box.append(...[...parsed.head.childNodes, ...parsed.body.childNodes].map((node) => doc.importNode(node, true)));
  return box;
}

// Command to route: an instance of a module has the page of the module, and routes of its own.
function routesOf(module) {
  const routes = module.config?.routeMaps ?? [];
  return JSON.stringify(Object.fromEntries(routes.map(({ command, route }) => [command, route])));
}

function sharedElements(doc, base, showOptions) {
  const output = make(doc, "div", { class: "mr-output" });
  const preview = make(doc, "div", { class: "mr-preview" });
  preview.append(
    make(doc, "img", { id: "imgPreview", alt: "Preview of the chosen image", hidden: "" }),
    make(doc, "div", { id: "imgMask" }),
  );
  output.append(
    preview,
    make(doc, "img", { id: "imgResult", class: "mr-result-image", alt: "Resulting image", hidden: "" }),
    make(doc, "audio", { id: "sndPreview", controls: "", hidden: "" }),
    make(doc, "div", { id: "results", "aria-live": "polite" }),
  );
  return [make(doc, "div", { id: "status", role: "status" }), output, options(doc, base, showOptions)];
}

function options(doc, base, shown) {
  const details = make(doc, "details", { class: "mr-options", ...(shown ? {} : { hidden: "" }) });
  details.append(
    make(doc, "summary", {}, "Request options"),
    field(doc, "serviceUrl", "Server address", { type: "url", value: base.href.replace(/\/$/, "") }),
    field(doc, "serviceTimeoutSecTxt", "Give up after (seconds)", { type: "number", min: "1", value: "30" }),
  );
  return details;
}

function field(doc, id, text, attributes) {
  const label = make(doc, "label", { class: "form-label", for: id }, text);
  const box = make(doc, "div");
  box.append(label, make(doc, "input", { id, class: "form-control form-control-sm", ...attributes }));
  return box;
}

function usesSubmitRequest(page) {
  return /\b(submitRequest|serviceTimeoutSecTxt|serviceUrl)\b/.test(page.html + page.script);
}

// Inside a script or style element only its own end tag could end it early.
function guardScript(text) {
  return text.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
}

function guardStyle(text) {
  return text.replace(/<\/(style)/gi, "<\\/$1");
}
