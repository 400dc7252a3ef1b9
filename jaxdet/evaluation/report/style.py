"""The look of the report: plain, light and dark, wide and narrow."""

STYLE = """
:root { --text:#1c1f23; --faint:#667; --line:#d8dce2; --page:#fff; --panel:#f5f6f8;
  --right:31 111 214; --wrong:214 84 12; color-scheme:light dark }
@media (prefers-color-scheme:dark) { :root { --text:#e6e8eb; --faint:#9aa3ad; --line:#3a4048; --page:#15181c;
  --panel:#1e2227; --right:96 165 250; --wrong:251 139 60 } }
* { box-sizing:border-box }
body { margin:0 auto; max-width:1100px; padding:1rem; background:var(--page); color:var(--text);
  font:15px/1.5 system-ui,sans-serif; overflow-wrap:anywhere }
h1 { font-size:1.5rem; margin:.5rem 0 }
h2 { font-size:1.15rem; margin:2.2rem 0 .4rem; border-bottom:1px solid var(--line) }
h3 { font-size:1rem; margin:1.2rem 0 .4rem }
p { max-width:46rem; margin:.4rem 0 }
nav { display:flex; flex-wrap:wrap; gap:.2rem 1rem }
a { color:rgb(var(--right)) }
.faint, figcaption { color:var(--faint) }
.wide { overflow-x:auto; margin:.6rem 0 }
table { border-collapse:collapse; font-variant-numeric:tabular-nums; overflow-wrap:normal }
th, td { padding:.2rem .7rem; text-align:right; border-bottom:1px solid var(--line); font-weight:400 }
th[scope=row], th:first-child { text-align:left }
tr:first-child th { color:var(--faint); vertical-align:bottom }
.mean th, .mean td { font-weight:600 }
.bar { display:inline-block; width:9rem; height:.8rem; text-align:left; background:var(--panel) }
.bar i { display:block; height:100%; background:var(--faint) }
.bar.right i { background:rgb(var(--right)) }
.bar.wrong i { background:rgb(var(--wrong)) }
.matrix td { min-width:2.2rem; padding:.2rem .4rem; text-align:center; border:1px solid var(--line);
  background:rgb(var(--colour) / calc(var(--share) * .75)) }
.matrix th[scope=col] { writing-mode:vertical-rl; transform:rotate(180deg); text-align:left; padding:.5rem .2rem }
.matrix tr:first-child th:first-child { writing-mode:horizontal-tb; transform:none }
.charts { display:grid; gap:1rem; grid-template-columns:repeat(auto-fill,minmax(min(100%,210px),1fr)) }
.pictures { display:grid; gap:1rem; grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr)) }
figure { margin:0 }
figcaption { font-size:.85rem }
svg { width:100%; max-width:640px; height:auto; font-size:10px }
svg text { fill:var(--faint) }
.grid { stroke:var(--line); stroke-width:.5; fill:none }
.axis { stroke:var(--faint); fill:none }
.curve { stroke:rgb(var(--right)); stroke-width:1.8; fill:none }
circle { fill:rgb(var(--wrong)) }
rect.right { fill:rgb(var(--right)) }
rect.wrong { fill:rgb(var(--wrong)) }
.mark { stroke:var(--text); stroke-dasharray:4 3 }
.picture { position:relative; overflow:hidden; line-height:0 }
.picture img { width:100% }
.box { position:absolute; border:2px solid var(--edge) }
.box b { position:absolute; bottom:100%; left:-2px; padding:0 .25em; font:600 11px/1.4 system-ui,sans-serif;
  white-space:nowrap; background:var(--edge); color:var(--ink) }
.box.end b { left:auto; right:-2px }
.box.top b { bottom:auto; top:0 }
.box:hover { z-index:2; border-width:3px }
.right { --edge:#1f6fd6; --ink:#fff }
.wrong { --edge:#ff6a13; --ink:#000 }
.lost { --edge:#ffe100; --ink:#000; border-style:dashed }
.box.lost b { bottom:auto; top:100% }
.box.lost.bottom b { bottom:0; top:auto }
.object { border:1px dashed #fff; outline:1px dashed #000 }
.legend span { display:inline-block; margin-right:1rem }
.legend i { display:inline-block; width:1.4em; height:.9em; margin-right:.35em; vertical-align:-.1em;
  border:2px solid var(--edge) }
.legend .lost i { border-style:dashed }
.legend .object i { border:1px dashed #fff; outline:1px dashed #000; background:#888 }
.legend .right, .legend .wrong, .legend .lost, .legend .object { border:0; outline:0 }
@media (max-width:600px) { body { padding:.7rem; font-size:14px } th, td { padding:.2rem .45rem } .bar { width:5rem } }
"""
