// Classic script, after server.js: the options of requests, shown on pages that use them.
(function () {
  "use strict";

  const { usesOptions } = JSON.parse(document.getElementById("module-page").textContent);
  document.getElementById("serviceUrl").value = window.apiServiceUrl;
  document.querySelector(".mr-options").hidden = !usesOptions;
})();
