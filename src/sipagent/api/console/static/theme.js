// Runs before anything is drawn, so that a page chosen dark does not flash.
(() => {
  try {
    const kept = localStorage.getItem("sipagent-theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch { /* storage is barred: the system's choice holds */ }
})();
