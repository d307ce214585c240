// Reloads the page while its checkbox is set. The choice is kept in the address.
"use strict";
const refresh = document.getElementById("refresh");
const PAUSED = "#paused";

refresh.checked = location.hash !== PAUSED;
refresh.addEventListener("change", () => {
  history.replaceState(null, "", refresh.checked ? location.pathname : PAUSED);
});
document.getElementById("refreshing").hidden = false;
setInterval(() => {
  const reads = document.hidden || String(getSelection()) !== "";
  if (refresh.checked && !reads) location.reload();
}, 2000);
