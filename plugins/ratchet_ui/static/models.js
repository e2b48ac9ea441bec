// The Models page inside Airflow. The server draws every page (with the viewer's own rights); this puts it into Airflow's
// frame and theme, keeps its links inside, and adds what only Airflow's API knows: waiting approvals, next runs, and
// triggering a DAG. No build: Airflow itself hands over React and its router.

const { createElement, useEffect, useRef } = globalThis.React;
const { useLocation, useNavigate } = globalThis.ReactRouterDOM;

const BASE = new URL(document.baseURI).pathname.replace(/\/$/, "");
const PLAIN = `${BASE}/ratchet/models`;
const HERE = `${BASE}/plugin/models`;

async function ask(path, options = {}) {
  const answer = await fetch(`${BASE}${path}`, { credentials: "same-origin", ...options });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const detail = typeof body.detail === "string" ? body.detail : JSON.stringify(body.detail ?? answer.statusText);
  throw Object.assign(new Error(detail), { status: answer.status });
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// Where a link of a plain page leads inside Airflow's router, or null if it leaves it.
function inside(href) {
  const url = new URL(href, location.href);
  if (url.origin !== location.origin || url.pathname.endsWith("/card")) return null;
  if (url.pathname === PLAIN || url.pathname.startsWith(`${PLAIN}/`)) {
    return `/plugin/models${url.pathname.slice(PLAIN.length)}${url.search}${url.hash}`;
  }
  return ofDags(url) ? url.pathname.slice(BASE.length) + url.search : null;
}

function ofDags(url) {
  return url.pathname === `${BASE}/dags` || url.pathname.startsWith(`${BASE}/dags/`);
}

function keepLinksInside(main, navigate) {
  for (const link of main.querySelectorAll("a[href]")) {
    const path = link.getAttribute("target") ? null : inside(link.getAttribute("href"));
    if (path) link.setAttribute("href", BASE + path);
  }
  main.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || link.getAttribute("target") || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const url = new URL(link.getAttribute("href"), location.href);
    if (!url.pathname.startsWith(`${HERE}`) && !ofDags(url)) return;
    event.preventDefault();
    navigate(url.pathname.slice(BASE.length) + url.search + url.hash);
  });
}

function compareTwo(main, navigate) {
  const form = main.querySelector("form[data-compare]");
  if (!form) return;
  const button = form.querySelector("button");
  const chosen = () => [...form.querySelectorAll("input:checked")].map((box) => box.value);
  const settle = () => { button.disabled = chosen().length !== 2; };
  form.addEventListener("change", settle);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = new URLSearchParams(chosen().map((version) => ["version", version]));
    navigate(inside(`${form.getAttribute("action")}?${query}`));
  });
  settle();
}

function filterModels(main, navigate) {
  const form = main.querySelector("form[data-filter]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = form.querySelector("input").value.trim();
    navigate(`/plugin/models${wanted ? `?${new URLSearchParams({ q: wanted })}` : ""}`);
  });
}

// Titles of the charts' marks, shown at once and in the page's own look.
function showTips(main) {
  const tip = element("div", { class: "tip", role: "tooltip", hidden: true });
  main.append(tip);
  for (const title of main.querySelectorAll("svg a > title")) {
    const mark = title.parentNode;
    mark.dataset.tip = title.textContent;
    title.remove();
  }
  const show = (event) => {
    const mark = event.target.closest?.("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip.trim();
    const box = mark.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${box.bottom + 8 + tip.offsetHeight > innerHeight ? box.top - tip.offsetHeight - 8 : box.bottom + 8}px`;
  };
  main.addEventListener("pointerover", show);
  main.addEventListener("focusin", show);
  for (const name of ["pointerleave", "focusout"]) main.addEventListener(name, () => { tip.hidden = true; });
}

async function showNextRuns(main) {
  const links = [...main.querySelectorAll("[data-next]")];
  if (!links.length) return;
  const found = new Map();
  const pattern = links.length === 1 ? links[0].dataset.next : "retrain_";
  for (let offset = 0; ; offset += 100) {
    const page = await ask(`/api/v2/dags?dag_id_pattern=${encodeURIComponent(pattern)}&limit=100&offset=${offset}`);
    for (const dag of page.dags) found.set(dag.dag_id, dag);
    if (offset + 100 >= page.total_entries) break;
  }
  for (const link of links) {
    const dag = found.get(link.dataset.next);
    if (!dag) continue;
    const next = dag.next_dagrun_run_after;
    const day = next && new Date(next).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
    link.textContent = dag.is_paused ? "paused" : day ?? (dag.timetable_summary ? "schedule has ended" : "by hand");
    link.title = link.dataset.next;
  }
}

// DAGs whose newest run failed: an alarm in the model's row, and why in what needs a person.
async function showFailures(main) {
  const needs = main.querySelector("[data-approvals]");
  const dags = new Set((needs?.dataset.approvals ?? "").split(" ").filter(Boolean));
  if (!dags.size) return;
  const models = modelsOf(dags);
  const found = await ask("/api/v2/dags?tags=ratchet&last_dag_run_state=failed&limit=100");
  const failed = found.dags.map((dag) => dag.dag_id).filter((dag) => models.has(modelOf(dag, models)));
  const elsewhere = main.querySelector("[data-runs]"); // a model's page tells its runs below
  const told = await Promise.all(failed.map((dag, place) => (elsewhere || place >= REASONS ? [] : newestFailure(dag).catch(() => []))));
  for (const [place, dag] of failed.entries()) {
    const model = modelOf(dag, models);
    const name = element("a", { href: `${BASE}/dags/${encodeURIComponent(dag)}` }, dag);
    raise(needs, "failed", false, name, ": its newest run failed. ", ...told[place]);
    const cell = main.querySelector(`[data-alarms="${model}"]`);
    cell?.prepend(element("span", { class: "badge failed" }, `${dag.slice(0, -model.length - 1)} failed`), " ");
    cell?.querySelector(".quiet")?.setAttribute("hidden", "");
  }
}

const REASONS = 10;
const RUNS = 8;

async function newestFailure(dag) {
  const { dag_runs: runs } = await ask(`/api/v2/dags/${encodeURIComponent(dag)}/dagRuns?state=failed&order_by=-id&limit=1`);
  return runs.length ? reasons(runs[0]) : [];
}

function addressOf(...parts) {
  return parts.map(encodeURIComponent).join("/");
}

// Why a run's tasks failed, or will be tried again, as their logs say it; each with a link to its log.
async function reasons(run) {
  const at = `dags/${encodeURIComponent(run.dag_id)}/dagRuns/${encodeURIComponent(run.dag_run_id)}/taskInstances`;
  const { task_instances: tasks } = await ask(`/api/v2/${at}?state=failed&state=up_for_retry&limit=3`);
  if (!tasks.length && run.state === "failed") return ["No task of it failed: it was marked so, or ran out of time."];
  return Promise.all(tasks.map(async (task) => {
    const place = task.map_index < 0 ? [] : ["mapped", task.map_index];
    const log = `${BASE}/${addressOf("dags", run.dag_id, "runs", run.dag_run_id, "tasks", task.task_id, ...place)}?try_number=${task.try_number}`;
    const again = task.state === "up_for_retry" ? " (to be tried again)" : "";
    const why = await reason(`${at}/${encodeURIComponent(task.task_id)}`, task).catch(() => "");
    return element("span", { class: "reason" }, `${task.rendered_map_index ? `${task.task_id} ${task.rendered_map_index}` : task.task_id}${again}: ${why || "its log holds no reason; its worker may have been lost."} `, element("a", { href: log }, "Log"));
  }));
}

// The last error that a task's log tells: Ratchet's own words, or else the exception's.
async function reason(at, task) {
  const log = await ask(`/api/v2/${at}/logs/${task.try_number}?map_index=${task.map_index}&full_content=true`, { headers: { Accept: "application/json" } });
  const lines = (Array.isArray(log.content) ? log.content : []).filter((line) => ["error", "critical"].includes(line.level));
  const own = lines.filter((line) => !line.error_detail).map((line) => line.event).pop();
  const thrown = lines.flatMap((line) => line.error_detail ?? []).pop();
  const said = own ?? (thrown ? `${thrown.exc_type}: ${thrown.exc_value}` : "");
  return said.trim().split("\n")[0];
}

// On a model's page: what is queued or at work, and what failed and was not made good since.
async function showRuns(main) {
  const section = main.querySelector("[data-runs]");
  if (!section) return;
  const model = section.dataset.runs;
  const { dags } = await ask(`/api/v2/dags?tags=${encodeURIComponent(model)}&limit=100`);
  const known = new Map(dags.filter((dag) => modelOf(dag.dag_id, [model]) === model).map((dag) => [dag.dag_id, dag]));
  if (!known.size) return;
  const body = JSON.stringify({ dag_ids: [...known.keys()], order_by: "-id", page_limit: 100 });
  const { dag_runs: runs } = await ask("/api/v2/dags/~/dagRuns/list", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const good = new Set();
  const shown = runs.filter((run) => {
    if (run.state === "success") good.add(run.dag_id);
    // A later success makes up for a failure, but not for another date of a backfill.
    return run.state === "queued" || run.state === "running" || (run.state === "failed" && (run.run_type === "backfill" || !good.has(run.dag_id)));
  });
  if (!shown.length) return;
  const list = section.querySelector("ul");
  for (const run of shown.slice(0, RUNS)) {
    const link = element("a", { href: `${BASE}/${addressOf("dags", run.dag_id, "runs", run.dag_run_id)}` }, run.dag_run_id);
    const told = element("p", {}, `${run.dag_id} `, link, ". ");
    if (run.state !== "queued") told.append(...await reasons(run).catch(() => []));
    else if (known.get(run.dag_id).is_paused) told.append("It waits: the DAG is paused, and a paused DAG runs nothing. ", unpauseButton(main, run.dag_id));
    else told.append("It waits for its turn.");
    list.append(element("li", {}, element("span", { class: `badge ${run.state}` }, run.state), told));
  }
  if (shown.length > RUNS) list.append(element("li", {}, element("p", { class: "quiet" }, `And ${shown.length - RUNS} more.`)));
  section.hidden = false;
}

function unpauseButton(main, dag) {
  const button = element("button", { class: "button small", type: "button" }, "Switch it on");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await unpause(dag);
      button.replaceWith("It is switched on now.");
    } catch (error) {
      say(main, error);
    }
  });
  return button;
}

function unpause(dag) {
  const options = { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ is_paused: false }) };
  return ask(`/api/v2/dags/${encodeURIComponent(dag)}?update_mask=is_paused`, options).catch((error) => {
    throw error.status === 403 ? new Error(`You may not switch ${dag} on; until somebody does, its runs wait.`) : error;
  });
}

// The name of a stage may hold the same signs as that of a model: of promotions the models tell which of them it is.
function modelOf(dag, models = []) {
  if (!dag.startsWith("promote_to_")) return dag.replace(/^[a-z]+_/, "");
  const fitting = [...models].filter((model) => dag.endsWith(`_${model}`));
  return fitting.sort((one, other) => other.length - one.length)[0] ?? dag;
}

// The models that a list of DAGs is of; each has one that retrains it.
function modelsOf(dags) {
  return new Set([...dags].filter((dag) => dag.startsWith("retrain_")).map((dag) => modelOf(dag)));
}

// One more thing that needs a person, before or after the others.
function raise(needs, kind, first, ...sentence) {
  const list = needs.querySelector("ul");
  list[first ? "prepend" : "append"](element("li", { class: kind }, element("span", { class: `badge ${kind}` }, kind), element("p", {}, ...sentence)));
  needs.querySelector("[data-nothing]")?.remove();
  needs.removeAttribute("data-calm");
}

async function showApprovals(main) {
  const needs = main.querySelector("[data-approvals]");
  const dags = new Set((needs?.dataset.approvals ?? "").split(" ").filter(Boolean));
  if (!dags.size) return;
  const waiting = await ask("/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&limit=100");
  for (const { task_instance: task, subject } of waiting.hitl_details) {
    if (!dags.has(task.dag_id) || !["awaiting_input", "deferred"].includes(task.state)) continue;
    const at = ["dags", task.dag_id, "runs", task.dag_run_id, "tasks", task.task_id].map(encodeURIComponent).join("/");
    raise(needs, "approval", true, element("a", { href: `${BASE}/${at}/required_actions` }, modelOf(task.dag_id, modelsOf(dags))), `: ${subject}`);
  }
}

// One field of a DAG's trigger form, drawn from its own declaration; read() returns the value for the run's conf.
function field(name, param, given) {
  const schema = param.schema ?? {};
  const types = [schema.type].flat();
  const value = given ?? param.value;
  const id = `field-${name}`;
  const title = schema.title ?? name;
  const help = param.description ? element("small", { id: `${id}-help` }, param.description) : "";
  const options = schema.items?.enum ?? (types.includes("array") ? schema.examples : null);
  if (options) {
    const boxes = options.map((option) => element("input", { type: "checkbox", value: option, checked: (value ?? []).includes(option) }));
    const labels = boxes.map((box) => element("label", {}, box, ` ${box.value}`));
    const group = element("fieldset", {}, element("legend", {}, title), ...labels, help);
    return { body: group, read: () => boxes.filter((box) => box.checked).map((box) => box.value) };
  }
  let input;
  if (schema.enum) {
    const shown = schema.values_display ?? {};
    input = element("select", {}, ...schema.enum.map((one) => element("option", { value: one, selected: one === value }, shown[one] ?? String(one))));
  } else if (types.includes("boolean")) {
    input = element("input", { type: "checkbox", checked: Boolean(value) });
  } else if (types.includes("number") || types.includes("integer")) {
    input = element("input", { type: "number", min: schema.minimum, max: schema.maximum, step: types.includes("integer") ? 1 : "any", value });
  } else if (schema.format === "date-time") {
    input = element("input", { type: "datetime-local", step: 1, value: value ? new Date(value).toISOString().slice(0, 19) : "" });
  } else if (schema.format === "date") {
    input = element("input", { type: "date", value });
  } else {
    input = schema.format === "multiline" ? element("textarea", { rows: 3 }, value ?? "") : element("input", { type: "text", value, minlength: schema.minLength });
  }
  input.id = id;
  input.required = !types.includes("null") && !types.includes("boolean");
  if (help) input.setAttribute("aria-describedby", `${id}-help`);
  const utc = schema.format === "date-time" ? `${title} (UTC)` : title;
  const read = () => {
    if (types.includes("boolean")) return input.checked;
    if (input.value === "") return null;
    if (input.type === "number") return Number(input.value);
    // Browsers leave zero seconds out; the form's declaration wants them.
    return schema.format === "date-time" ? new Date(`${input.value}Z`).toISOString().replace(".000Z", "Z") : input.value;
  };
  return { body: element("div", {}, element("label", { for: id }, utc), input, help), read };
}

async function trigger(main, button, navigate) {
  const { trigger: dag, conf, label } = button.dataset;
  const given = JSON.parse(conf);
  const details = await ask(`/api/v2/dags/${encodeURIComponent(dag)}/details`);
  const fields = Object.entries(details.params ?? {}).map(([name, param]) => [name, field(name, param, given[name])]);
  const problem = element("p", { class: "error", role: "alert" });
  const on = element("input", { type: "checkbox", checked: true });
  const scheduled = details.timetable_summary && details.timetable_summary !== "None" ? ` Its schedule, ${details.timetable_summary}, begins with it.` : "";
  const paused = element("label", { class: "field" }, on, ` Switch ${dag} on. It is paused, and a paused DAG runs nothing.${scheduled}`);
  const go = element("button", { class: "button first", type: "submit" }, label);
  const cancel = element("button", { class: "button", type: "button" }, "Cancel");
  const form = element(
    "form", { method: "dialog" },
    element("h2", { id: "dialog-title" }, `${label}: ${given.version ?? dag.replace(/^[a-z]+_/, "")}`),
    element("p", { class: "quiet" }, `${button.title} Runs ${dag} in your name.`),
    ...fields.map(([, made]) => element("div", { class: "field" }, made.body)),
    ...(details.is_paused ? [paused] : []), problem, element("div", { class: "bottom" }, cancel, go),
  );
  const dialog = element("dialog", { "aria-labelledby": "dialog-title" }, form);
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = "";
    try {
      const body = JSON.stringify({ logical_date: null, conf: Object.fromEntries(fields.map(([name, made]) => [name, made.read()])) });
      const run = await ask(`/api/v2/dags/${encodeURIComponent(dag)}/dagRuns`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (details.is_paused && on.checked) {
        try {
          await unpause(dag);
        } catch (error) {
          // The run is there: sent once more, the form would make another.
          problem.textContent = `The run is queued. ${error.message}`;
          return;
        }
      }
      dialog.close();
      navigate(`/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run.dag_run_id)}`);
    } catch (error) {
      problem.textContent = error.status === 403 ? "You may not trigger this DAG." : error.message;
      go.disabled = false;
    }
  });
  main.append(dialog);
  dialog.showModal();
}

function offerActions(main, navigate) {
  for (const button of main.querySelectorAll("[data-trigger]")) {
    button.setAttribute("role", "button");
    button.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); button.click(); } });
    button.addEventListener("click", (event) => {
      event.preventDefault();
      trigger(main, button, navigate).catch((error) => { say(main, error); });
    });
  }
}

function say(main, error) {
  main.querySelector(".problem")?.remove();
  main.prepend(element("p", { class: "problem", role: "alert" }, error.message));
}

async function fetchPage(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  const text = await answer.text();
  if (answer.ok) return new DOMParser().parseFromString(text, "text/html");
  let detail = text;
  try { detail = JSON.parse(text).detail; } catch { /* not JSON: shown as it is */ }
  throw new Error(typeof detail === "string" ? detail : "This page can't be shown.");
}

async function show(root, path, anchor, navigate, current) {
  let page;
  try {
    page = await fetchPage(path);
  } catch (error) {
    if (!current()) return;
    const main = root.querySelector("main") ?? root.appendChild(element("main", { class: "ratchet" }));
    main.replaceChildren();
    say(main, error);
    main.append(element("p", {}, element("a", { href: HERE }, "All models")));
    keepLinksInside(main, navigate);
    return;
  }
  if (!current()) return;
  const begin = () => (root.getElementById(anchor) ?? root.host).scrollIntoView({ block: "start" });
  const main = document.adoptNode(page.querySelector("main"));
  const style = document.adoptNode(page.querySelector("link[rel=stylesheet]"));
  const known = root.querySelector("link");
  if (known?.getAttribute("href") === style.getAttribute("href")) {
    root.querySelector("main")?.remove();
    root.append(main);
  } else {
    main.hidden = true;
    style.addEventListener("load", () => { main.hidden = false; begin(); });
    root.replaceChildren(style, main);
  }
  keepLinksInside(main, navigate);
  compareTwo(main, navigate);
  filterModels(main, navigate);
  showTips(main);
  offerActions(main, navigate);
  begin();
  // What Airflow's API knows comes after the page is there; without it the page still says all the rest.
  await Promise.allSettled([showNextRuns(main), showApprovals(main), showFailures(main), showRuns(main)]);
  main.dataset.ready = "";
}

function Models() {
  const host = useRef(null);
  const { pathname, search, hash } = useLocation();
  const navigate = useNavigate();
  useEffect(() => {
    let current = true;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const rest = pathname.replace(/^\/plugin\/models/, "").replace(/\/$/, "");
    show(root, `${PLAIN}${rest}${search}`, hash.slice(1), (to) => navigate(to), () => current);
    return () => { current = false; };
  }, [pathname, search, hash]);
  // The theme is a class of <html>; light-dark() in the page's style follows color-scheme.
  useEffect(() => {
    const follow = () => {
      host.current.style.colorScheme = document.documentElement.classList.contains("dark") ? "dark" : "light";
    };
    follow();
    const watcher = new MutationObserver(follow);
    watcher.observe(document.documentElement, { attributeFilter: ["class"] });
    return () => watcher.disconnect();
  }, []);
  return createElement("div", { ref: host, style: { flex: 1, minWidth: 0 } });
}

globalThis.AirflowPlugin = Models;
