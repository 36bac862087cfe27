"""How the evaluation's pages begin and how they look, in light and in dark."""

from __future__ import annotations

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
"""
"""A page up to its content, as a Jinja template of `title` and `style`."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #22303c; --muted: #66737e; --line: #dde3e8; --soft: #f5f7f8;
  --ours: #1f6f8b; --other: #c8712d; --warn: #b4532a; --warn-soft: #fbeee6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14191e; --ink: #dfe6eb; --muted: #93a1ac; --line: #333d46; --soft: #1d242a;
    --ours: #6cc0dc; --other: #eda160; --warn: #f0a17c; --warn-soft: #3a241a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 36px 26px 80px; }
h1 { font-size: 27px; margin: 0 0 6px; letter-spacing: -.01em; }
h2 { font-size: 20px; margin: 44px 0 6px; padding-top: 10px; border-top: 2px solid var(--ink); }
h3 { font-size: 16px; margin: 26px 0 4px; }
p, li { max-width: 88ch; }
p { margin: 4px 0 10px; }
.muted, caption, figcaption { color: var(--muted); font-size: 13.5px; }
.warning {
  background: var(--warn-soft); border-left: 4px solid var(--warn); padding: 10px 14px;
  margin: 14px 0; max-width: 92ch;
}
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 6px; }
.card { background: var(--soft); border-radius: 8px; padding: 10px 16px; min-width: 168px; }
.card b { display: block; font-size: 23px; font-variant-numeric: tabular-nums; }
.card span { color: var(--muted); font-size: 12.5px; display: block; }
.wide { overflow-x: auto; }
table {
  border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums;
  margin: 8px 0 14px;
}
caption { text-align: left; caption-side: top; padding-bottom: 4px; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 12.5px; }
th, td { padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { white-space: nowrap; }
td small { color: var(--muted); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 18px; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; }
figcaption b { color: var(--ink); }
.films { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 14px; }
.films img { width: 100%; display: block; border-radius: 4px; background: #000; }
code {
  font: 12.5px ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--soft);
  padding: 1px 4px; border-radius: 3px; overflow-wrap: anywhere;
}
@media print { .plots, .films { break-inside: auto; } figure { break-inside: avoid; } }
"""
