// Classic script, after requests.js: pictures, sounds and downloads from the server, where the browser itself is refused
// them because a page without an origin sends no cookie.
(function () {
  "use strict";

  const fromServer = (url) => url.startsWith(document.baseURI);

  async function objectUrl(url) {
    const response = await window.fetch(url);
    if (!response.ok) throw new TypeError(`HTTP ${response.status}`);
    return URL.createObjectURL(await response.blob());
  }

  window.addEventListener("error", (event) => {
    const element = event.target;
    const failed = element instanceof HTMLImageElement || element instanceof HTMLMediaElement ? element.src : "";
    if (!failed || !fromServer(failed)) return;
    event.stopImmediatePropagation(); // it has not failed yet
    objectUrl(failed).then((url) => {
      if (element.src === failed) element.src = url;
    }, () => {
      if (element.src === failed) element.src = "data:,"; // now it has, and the page is told
    });
  }, true);

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[download]");
    if (!link || event.defaultPrevented || !fromServer(link.href)) return;
    event.preventDefault();
    objectUrl(link.href).then((url) => {
      const saved = Object.assign(document.createElement("a"), { href: url, download: link.download || link.pathname.split("/").pop() });
      saved.click();
    }, (error) => window.showError?.("The file cannot be fetched", error.message));
  });
})();
