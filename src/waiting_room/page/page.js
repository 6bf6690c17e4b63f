(function () {
"use strict";
// The same text in every answer, so that one hash in Content-Security-Policy names it.
// What varies stands in #seawall: the answer as a poll would give it, and the language's words.
// Elements are found by data-seawall (a value's text) and data-seawall-show (hidden without it).
var doc = document, root = doc.documentElement;
var data = JSON.parse(doc.getElementById("seawall").textContent);
var words = data.words, first = data.now, url = first.url;
var key = "seawall:" + first.room, said = 0, fails = 0, asking = false, asked = Date.now();
var admitted = false, timer, clock, opensAt, way = read(key) || {};

function read(name) { try { return JSON.parse(sessionStorage.getItem(name)); } catch (e) { return null; } }
function write(name, value) { try { sessionStorage.setItem(name, JSON.stringify(value)); } catch (e) {} }
function each(attribute, f) {
  [].forEach.call(doc.querySelectorAll("[" + attribute + "]"), function (e) { f(e, e.getAttribute(attribute)); });
}

// Numbers and waits: as the server writes them.
function number(n) {
  var text = String(n);
  if (text.length < words.from) return text;
  return text.replace(words.indian ? /(\d)(?=(\d\d)+\d$)/g : /(\d)(?=(\d{3})+$)/g, "$1" + words.group);
}
function half(n) { return (n >> 1) + (n & 1 ? words.decimal + "5" : ""); }
function few(n) {
  var whole = n >> 1, ten = whole % 10, rest = whole % 100;
  if (words.plural == 1) return n & 1 || (ten > 1 && ten < 5 && (rest < 12 || rest > 14));
  return words.plural == 2 && !(n & 1) && rest > 2 && rest < 11;
}
function wait(range) {
  if (!range) return words.unknown;
  var low = range.low, high = range.high, forms = words.minutes;
  if (high <= 60) return words.moment;
  if (high <= 5400) {
    high = 2 * Math.ceil(high / 60);
    low = 2 * Math.floor(low / 60) || 2;
  } else {
    high = Math.ceil(high / 1800);
    low = Math.floor(low / 1800) || 1;
    forms = words.hours;
  }
  return (low < high ? half(low) + words.range : "") + half(high) + forms[few(high) ? 0 : 1];
}

// Touches the page only where something is new, so that a screen reader speaks only of that.
function fill(values) {
  each("data-seawall", function (e, name) {
    var value = values[name];
    if (value === undefined) return;
    if (name == "progress") {
      if (value > e.value || !value) e.value = value;
    } else if (e.textContent != value) e.textContent = value;
  });
  each("data-seawall-show", function (e, name) {
    var hide = !values[name] && values[name] !== 0;
    if (name in values && e.hidden != hide) e.hidden = hide;
  });
}

// The best position shown with one ticket: neither it nor the progress goes back.
function best(answer) {
  var position = answer.position;
  if (!position) return 0;
  if (way.ticket !== answer.reference) way = { ticket: answer.reference, start: position, best: position };
  way.start = Math.max(way.start, position);
  way.best = Math.min(way.best, position);
  write(key, way);
  return way.best;
}
function situation(answer) {
  if (answer.state == "queued" && !answer.position) return answer.reference ? "drawing" : "stub";
  if (answer.state == "before" && answer.reference) return "draw";
  return answer.state == "admitted" && !data.reload ? "resend" : answer.state;
}

function show(answer) {
  var state = answer.state, say = words.said[situation(answer)] || words.said.queued;
  var position = state == "queued" || state == "paused" ? best(answer) : 0;
  var waits = position && state == "queued" ? wait(answer.wait_seconds) : "";
  var done = way.start > 1 ? (way.start - way.best) / (way.start - 1) : 0;
  var values = {
    heading: say[0],
    text: say[1],
    notice: answer.notice ? answer.message : "",
    position: position ? number(position) : "",
    wait: waits,
    stock: answer.stock >= 0 && state != "sold_out" ? number(answer.stock) : "",
    reference: answer.reference || "",
    progress: position && way.start > 1 ? done : "",
    keep: answer.reference && /before|queued|paused/.test(state),
    link: state == "admitted" ? (data.reload ? words.go : words.back) : "",
    offline: "",
    cookies: navigator.cookieEnabled === false,
    opens: state == "before" && answer.opens_in_seconds >= 0
  };
  // Said aloud: the first position, and each time it has halved.
  if (!position) {
    said = 0;
    values.announce = "";
  } else if (!said || position <= said / 2) {
    if (answer !== first) values.announce = words.place + ": " + values.position + (waits ? ". " + words.wait + ": " + waits : "");
    said = position;
  }
  fill(values);
  doc.title = (position ? "(" + values.position + ") " : "") + say[0];
  each("data-state", function (e) { e.setAttribute("data-state", state); });
  root.style.setProperty("--way", state == "admitted" ? 1 : done);
  clearTimeout(clock);
  if (values.opens) count(answer.opens_in_seconds);
}

function count(seconds) {
  var now = Date.now();
  opensAt = now + seconds * 1000;
  var form = { weekday: "long", day: "numeric", month: "long", hour: "numeric", minute: "2-digit" };
  fill({ opening: new Date(opensAt).toLocaleString(words.tag + "-u-nu-latn", form) });
  tick();
}
function tick() {
  var left = Math.max(0, Math.ceil((opensAt - Date.now()) / 1000));
  function two(n) { return n < 10 ? "0" + n : "" + n; }
  fill({ days: Math.floor(left / 86400) || "", hours: two(Math.floor(left / 3600) % 24), minutes: two(Math.floor(left / 60) % 60), seconds: two(left % 60) });
  if (left) clock = setTimeout(tick, (opensAt - Date.now()) % 1000 || 1000);
}

function enter(answer) {
  var last = read(key + ":in") || 0;
  admitted = true;
  way.best = 1;
  show(answer);
  write(key + ":in", Date.now());
  // A browser that keeps no cookie would come back here at once, for ever: then the link is left.
  if (data.reload && Math.abs(Date.now() - last) > 15000) location.reload();
}
function next(seconds) {
  clearTimeout(timer);
  timer = setTimeout(ask, Math.min(seconds, 600) * (850 + Math.random() * 300));
}
function ask() {
  clearTimeout(timer);
  if (asking || admitted) return;
  if (!window.AbortController) return location.reload();
  asking = true;
  asked = Date.now();
  var stop = new AbortController(), late = setTimeout(function () { stop.abort(); }, 15000), retry = 0;
  fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store", signal: stop.signal }).then(function (response) {
    retry = +response.headers.get("retry-after") || 0;
    if (!response.ok) throw response;
    return response.json();
  }).then(function (answer) {
    fails = 0;
    if (answer.state == "admitted") return enter(answer);
    show(answer);
    next(answer.poll_after_seconds || 10);
  }).catch(function () {
    fails++;
    if (fails > 1) fill({ offline: 1, link: words.check });
    next(Math.max(retry, Math.min(60, 1.5 * Math.pow(2, fails))));
  }).then(function () {
    clearTimeout(late);
    asking = false;
  });
}
function wake() {
  if (doc.hidden || admitted) return;
  var since = Date.now() - asked;
  if (since > 2000) ask(); else next((2000 - since) / 850);
}

show(first);
if (/^http/.test(location.protocol) && first.state != "admitted") {
  if (first.state == "queued" && !first.reference) ask(); else next(first.poll_after_seconds || 10);
  doc.addEventListener("visibilitychange", wake);
  addEventListener("online", wake);
  addEventListener("pageshow", function (e) { if (e.persisted) wake(); });
}
doc.addEventListener("click", function (e) {
  if (e.target.getAttribute("data-seawall") != "link") return;
  if (!admitted && first.state != "admitted") {
    e.preventDefault();
    wake();
  } else if (!data.reload) {
    e.preventDefault();
    history.back();
  }
});
})();
