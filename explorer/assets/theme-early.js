// Runs before the first paint, so that a remembered theme never flashes the other one.
(function () {
  "use strict";
  try {
    const theme = localStorage.getItem("millrace-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the page then follows the system.
  }
})();
