// What pages do beyond htmx: keys, theme, copying, times in the browser's zone, toasts that go.
(() => {
  "use strict";
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  // Theme.
  const isDark = () =>
    (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const tellTheme = () => byId("theme")?.setAttribute("aria-pressed", String(isDark()));
  const toggleTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("sipagent-theme", root.dataset.theme); } catch { /* not kept then */ }
    tellTheme();
  };

  // Times: what the server wrote in UTC is shown in the browser's zone, the UTC text as its title.
  const FORMS = {
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    minute: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    full: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  };
  const localize = (within) => {
    for (const time of within.querySelectorAll("time[data-form]")) {
      if (time.dataset.told === time.dateTime) continue;
      time.title = time.textContent;
      time.textContent = new Intl.DateTimeFormat("sv-SE", FORMS[time.dataset.form]).format(new Date(time.dateTime));
      time.dataset.told = time.dateTime;
    }
  };
  const lasting = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  };
  const count = () => {
    for (const span of document.querySelectorAll(".since[data-since]")) {
      const text = lasting(Date.now() / 1000 - Number(span.dataset.since));
      if (span.textContent !== text) span.textContent = text;
    }
  };

  // Copying, and forms that are sent as soon as something is chosen.
  const tell = (words, look) => {
    const toast = document.createElement("div");
    toast.className = `toast ${look}`;
    toast.textContent = words;
    byId("toasts")?.append(toast);
  };
  document.addEventListener("click", async (event) => {
    const copied = event.target.closest("[data-copy]");
    if (copied) {
      try {
        await navigator.clipboard.writeText(copied.dataset.copy);
        tell("Copied.", "done");
      } catch { tell("The browser does not let this page copy.", "wrong"); }
    } else if (event.target.closest("#theme")) toggleTheme();
    else if (event.target.closest("#help-open")) byId("help")?.showModal();
    else if (event.target.closest(".toast")) event.target.closest(".toast").remove();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("form[data-auto] select")) event.target.form.requestSubmit();
  });

  // Toasts go by themselves; what went wrong stays longer.
  const toasts = byId("toasts");
  if (toasts) {
    new MutationObserver((changes) => {
      for (const change of changes) {
        for (const toast of change.addedNodes) {
          if (toast.nodeType === 1) setTimeout(() => toast.remove(), toast.classList.contains("wrong") ? 15000 : 6000);
        }
      }
    }).observe(toasts, { childList: true });
  }

  // htmx: what it swaps is shown in local time; a form that was taken is empty again; what does not
  // come through is told.
  document.addEventListener("htmx:after:swap", () => { localize(document); count(); });
  document.addEventListener("htmx:after:request", (event) => {
    const { sourceElement: form, response } = event.detail.ctx;
    if (form?.matches?.("form[data-clear]") && response?.status < 400) {
      for (const field of form.querySelectorAll("input[type=text], textarea")) field.value = "";
    }
  });
  document.addEventListener("htmx:error", (event) => {
    const source = event.detail?.ctx?.sourceElement;
    if (source?.matches?.("form")) tell("The service did not answer.", "wrong");
  });
  const lost = (is) => { const told = byId("lost"); if (told) told.hidden = !is; };
  document.addEventListener("htmx:sse:error", () => lost(true));
  document.addEventListener("htmx:sse:after:connection", () => lost(false));

  // Keys. Nothing happens while somebody writes, or with Ctrl, Alt or Meta.
  let went = 0;
  const row = (step) => {
    const rows = [...document.querySelectorAll("[data-row]")].filter((one) => one.querySelector("a"));
    const at = rows.findIndex((one) => one.contains(document.activeElement));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    next?.querySelector("a").focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
    const key = event.key;
    const entry = Date.now() - went < 1500 && /^[a-z]$/.test(key) && document.querySelector(`nav a[data-key="${key}"]`);
    went = 0;
    if (entry) entry.click();
    else if (key === "g") went = Date.now();
    else if (key === "?") byId("help")?.showModal();
    else if (key === "d") toggleTheme();
    else if (key === "j") row(1);
    else if (key === "k") row(-1);
    else if (key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { search.focus(); search.select(); } else location.href = "/console/history";
    } else return;
    event.preventDefault();
  });

  tellTheme();
  localize(document);
  count();
  setInterval(count, 1000);
})();
