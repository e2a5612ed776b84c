"""How a report looks: on screens that are light or dark, on paper, and for eyes that don't tell colours apart."""

SHEET = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2128; --soft: #57606a; --line: #d4d9df; --grid: #e8ebef; --card: #f6f8fa;
  --good: #1a7f37; --bad: #c0261b; --odd: #8250df; --also: #9a6700; --moment: #7a4a00;
  --s0: #1f66b5; --s1: #c2560c; --s2: #1a7f4b; --s3: #8a3fc0; --s4: #b3246b; --s5: #4b6472; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #0f1318; --ink: #e2e7ed; --soft: #98a2ae; --line: #343c46; --grid: #222932; --card: #171c23;
  --good: #4ac26b; --bad: #ff7b72; --odd: #c297ff; --also: #e3b341; --moment: #f2cc60;
  --s0: #6cb0ff; --s1: #ffa457; --s2: #56d39a; --s3: #cfa3ff; --s4: #ff8fc0; --s5: #9fb8c6; } }
* { box-sizing: border-box; }
body { background: var(--paper); color: var(--ink); margin: 0 auto; max-width: 944px; padding: 28px 32px 64px;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; }
h2 { font-size: 18px; margin: 40px 0 10px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 18px 0 4px; }
h2 small { color: var(--soft); font-size: 14px; font-weight: normal; margin-left: 8px; }
h1, h2, h3, p, li { overflow-wrap: anywhere; }
p { margin: 4px 0; } .soft, figcaption { color: var(--soft); } figcaption b { color: var(--ink); }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.verdict { background: var(--card); border-left: 5px solid; border-radius: 3px; margin: 20px 0; padding: 12px 18px; }
.verdict.plain { border-color: var(--soft); }
.verdict.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); }
.verdict strong { display: block; font-size: 18px; } .verdict ul { margin: 4px 0; padding-left: 20px; }
.verdict.good strong, td.good { color: var(--good); } .verdict.bad strong, td.bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--grid); padding: 5px 16px 5px 0; text-align: left; vertical-align: top; }
th { border-bottom-color: var(--line); color: var(--soft); font-weight: 600; white-space: nowrap; }
td.figure, th.figure { text-align: right; } td svg { display: inline-block; } td.strong { font-weight: 600; }
.short td { white-space: nowrap; } td.name { white-space: nowrap; }
td .asked { color: var(--soft); display: block; font-size: 12.5px; }
a { color: inherit; text-decoration-color: var(--line); text-underline-offset: 3px; }
figure { margin: 22px 0 30px; } figcaption { font-size: 14px; margin-bottom: 8px; }
svg { display: block; height: auto; max-width: 100%; overflow: visible; }
svg.inline { display: inline-block; margin-right: 8px; max-width: none; }
.open { fill: var(--paper); stroke: var(--c); stroke-width: 1.5; }
svg text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
svg .tick, svg .small { fill: var(--soft); font-size: 11px; } svg .label { font-weight: 600; }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; } svg .strong { font-weight: 600; font-size: 13px; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--soft); } svg polyline { fill: none; }
svg .level { stroke: var(--soft); stroke-dasharray: 1 3; }
.line { stroke-width: 1.7; stroke-linejoin: round; } .line.thin { stroke-width: 1.1; }
.line.line.faint { stroke-width: 1; stroke-dasharray: none; opacity: .35; }
polyline.moment { stroke: var(--moment); stroke-dasharray: 5 3; } svg text.moment { fill: var(--moment); }
.range { fill: none; stroke-width: 1; opacity: .45; } .dots { stroke: none; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); }
.s3 { --c: var(--s3); } .s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
.line, .range { stroke: var(--c); } .dots { fill: var(--c); } .bars { fill: var(--bad); }
.line.s1 { stroke-dasharray: 7 3; } .line.s2 { stroke-dasharray: 2 2.5; } .line.s3 { stroke-dasharray: 9 3 2 3; }
.line.s4 { stroke-dasharray: 4 2; } .line.s5 { stroke-dasharray: 12 4; }
.setup { fill: var(--s1); } .wait { fill: var(--s0); } tspan.soft { fill: var(--soft); }
details.more { border: 0; padding: 0; margin: -16px 0 26px; } details.more figcaption { display: none; }
.rug { fill: none; stroke-width: 1.2; } .rug.bad { stroke: var(--bad); } .rug.odd { stroke: var(--odd); }
.rug.also { stroke: var(--also); }
.box { fill: var(--card); stroke: var(--ink); stroke-width: 1.2; } .bus { stroke: var(--soft); stroke-width: 5;
  stroke-linecap: round; } .wire { stroke: var(--soft); stroke-width: 1.4; } .link { stroke: var(--s0);
  stroke-width: 1.4; } .tip { fill: var(--s0); } .knot { fill: var(--soft); }
details { border-top: 1px solid var(--line); padding: 10px 0; } details:last-of-type { border-bottom: 1px solid
  var(--line); } summary { cursor: pointer; font-weight: 600; }
details .scroll, details > table { margin: 10px 0 18px; }
footer { color: var(--soft); font-size: 13px; margin-top: 24px; }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #aaa; --grid: #ddd;
  --card: #fff; --good: #1a7f37; --bad: #c0261b; --odd: #8250df; --also: #9a6700; --s0: #1f66b5; --s1: #c2560c;
  --s2: #1a7f4b; --s3: #8a3fc0; --s4: #b3246b; --s5: #4b6472; }
  body { font-size: 11pt; max-width: none; padding: 0; } figure, .verdict, tr { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; } .verdict { border: 1px solid; border-left-width: 5px; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; height: auto; } table { font-size: 9.5pt; } }
@media (max-width: 640px) { body { padding: 16px; } }
"""
