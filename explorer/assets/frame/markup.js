// Classic script at the beginning of the body: puts the module's markup into its page. It is parsed apart, so that an
// unclosed tag in it cannot swallow what follows; its scripts do not run, as module pages expect.
(function () {
  "use strict";

  const { id, queue, routes, html } = JSON.parse(document.getElementById("module-page").textContent);
  const parsed = new DOMParser().parseFromString(html, "text/html");
  for (const script of parsed.querySelectorAll("script")) script.remove();
  const box = document.createElement("div");
  box.className = `moduleui ${queue}`.trim();
  box.dataset.moduleid = id;
  box.dataset.routes = JSON.stringify(routes); // command to route: an instance of a module has routes of its own
  box.append(...[...parsed.head.childNodes, ...parsed.body.childNodes].map((node) => document.importNode(node, true)));
  document.currentScript.before(box);
})();
