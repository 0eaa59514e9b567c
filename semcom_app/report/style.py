"""Style sheet of the report."""

STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#17202b;--muted:#5a6573;--line:#e3e5e8;
--accent:#1f5fbf;--ok:#17734a;--okbg:#e3f4ea;--amber:#7d5200;--amberbg:#fff2d6;--red:#a8201a;--redbg:#fde7e5;
--t1:#4477aa;--t2:#e0a030;--t3:#228877;--good:#bcd9c8;--shade:0 1px 2px rgba(20,30,45,.05)}
@media (prefers-color-scheme:dark){:root{--bg:#11151a;--card:#191f26;--ink:#e8ebef;--muted:#9aa6b3;
--line:#2c343d;--accent:#8ab4f8;--ok:#7bd3a2;--okbg:#173326;--amber:#f2c261;--amberbg:#3a2c0e;--red:#ff9a92;--redbg:#43191a;
--t1:#6fa3d8;--t2:#e6b04f;--t3:#4fb3a1;--good:#2f5a45;--shade:none}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Helvetica Neue",Arial,sans-serif}
main{max-width:1160px;margin:0 auto;padding:clamp(1.2rem,4vw,3.2rem) clamp(1rem,4vw,2rem)}
header{margin-bottom:2.4rem}
.over{margin:0;color:var(--accent);font-size:.82rem;font-weight:600;letter-spacing:.08em;text-transform:uppercase}
h1{font-size:clamp(1.7rem,4.6vw,2.7rem);line-height:1.15;letter-spacing:-.02em;margin:.3rem 0 .7rem;
overflow-wrap:anywhere;text-wrap:balance}
h2{font-size:1.35rem;letter-spacing:-.01em;line-height:1.3;margin:0 0 1rem;overflow-wrap:anywhere}
h3{font-size:1rem;margin:0 0 .5rem}
h3 small{font-weight:400;color:var(--muted);margin-left:.3em}
.lede{font-size:clamp(1.05rem,2.2vw,1.25rem);line-height:1.5;max-width:62ch;margin:0 0 1.1rem}
b.ok{color:var(--ok)}b.damaged{color:var(--amber)}b.lost{color:var(--red)}
.chips{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;padding:0;margin:0 0 1.4rem;font-size:.86rem}
.chips li{border:1px solid var(--line);border-radius:99px;padding:.1rem .7rem;background:var(--card);
overflow-wrap:anywhere}
.chips span{color:var(--muted);margin-right:.15em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));border:1px solid var(--line);
border-radius:12px;background:var(--line);gap:1px;overflow:hidden;box-shadow:var(--shade)}
.tile{background:var(--card);padding:.9rem 1.1rem;display:flex;flex-direction:column}
.tile span{font-size:.82rem;color:var(--muted)}
.tile b{font-size:1.5rem;font-weight:650;line-height:1.3;letter-spacing:-.01em;
font-variant-numeric:tabular-nums;white-space:nowrap}
.tile small{color:var(--muted);font-size:.75rem;line-height:1.35}
article{border-top:1px solid var(--line);padding-top:2rem;margin-top:2.4rem}
.pill{display:inline-block;font-size:.78rem;font-weight:600;line-height:1.2;padding:.2rem .6rem;
border-radius:99px;white-space:nowrap;vertical-align:.12em}
.pill.ok{background:var(--okbg);color:var(--ok)}.pill.damaged{background:var(--amberbg);color:var(--amber)}
.pill.lost{background:var(--redbg);color:var(--red)}
.banner{border-left:5px solid;border-radius:8px;padding:.8rem 1.1rem;margin:0 0 1.2rem;overflow-wrap:anywhere}
.banner.lost{background:var(--redbg);border-color:var(--red)}.banner.lost strong{color:var(--red)}
.banner.damaged{background:var(--amberbg);border-color:var(--amber)}.banner.damaged strong{color:var(--amber)}
figure{margin:0;min-width:0}
img{display:block;max-width:100%}
.trio,.stack{display:grid;gap:1rem}
.trio{grid-template-columns:repeat(3,minmax(0,1fr))}
.trio img,.stack img{width:100%;height:auto;max-height:86vh;object-fit:contain;border-radius:6px}
.stack img{min-height:1.2rem}
figcaption{font-size:.86rem;color:var(--muted);padding-top:.45rem;line-height:1.4}
figcaption b{color:var(--ink);margin-right:.25em}
.void{border:1px dashed var(--line);border-radius:6px;width:100%;max-height:86vh}
.px{image-rendering:pixelated}
.done{margin:1.1rem 0 0;font-size:.9rem;color:var(--muted)}
.done b{color:var(--ink)}.done ul{margin:.2rem 0 0;padding-left:1.2rem}.done li{overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem;margin-top:1.4rem}
.cards>div{display:flex;flex-direction:column;gap:1rem}.cards .card:last-child{flex-grow:1}
.codec{display:grid;grid-template-columns:minmax(0,2.7fr) minmax(0,1fr);gap:1rem;
margin-top:1rem}
.codec>:only-child{grid-column:1/-1}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.2rem;
box-shadow:var(--shade);min-width:0}
.facts{margin:0}
.facts div{display:flex;justify-content:space-between;gap:1rem;align-items:baseline;padding:.3rem 0;
border-top:1px solid var(--line)}
.facts div:first-child{border-top:0}
.facts dt{font-size:.92rem;min-width:0}
.facts dt small{color:var(--muted);font-size:.78rem;margin-left:.5em}
.facts dd{margin:0;flex:none;max-width:65%;text-align:right;font-weight:600;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.bar{display:flex;height:1.1rem;border-radius:6px;overflow:hidden;gap:2px;margin:.3rem 0 .6rem}
.bar i{min-width:2px;flex-basis:0}
.blockbar{margin:.8rem 0 0}
.key{display:inline-block;width:.75em;height:.75em;border-radius:3px;margin-right:.5em}
.t-encode{background:var(--t1)}.t-link{background:var(--t2)}.t-decode{background:var(--t3)}
.good{background:var(--good)}
.bad{background:repeating-linear-gradient(135deg,#b3261e 0 3px,#e8776f 3px 6px)}
.blocks{display:flex;flex-wrap:wrap;gap:2px;margin-top:.8rem}
.blocks i{width:11px;height:11px;border-radius:2px}
.note{font-size:.82rem;color:var(--muted);margin:.4rem 0 0}
.note.more{border-top:1px solid var(--line);padding-top:1.4rem;margin-top:2.4rem;font-size:.95rem}
.latent{margin-bottom:.8rem}
.latrow{display:grid;grid-template-columns:4.6rem minmax(0,1fr);gap:.5rem;
align-items:center;margin-bottom:.5rem}
.latrow b{font-size:.84rem;font-weight:600}
.lattiles{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:.5rem}
.lattiles img{width:100%;height:auto;max-height:16rem;border-radius:4px}
.lattiles span{font-size:.8rem;color:var(--muted);text-align:center}
.maps{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,14rem),1fr))}
.maps img{width:100%;height:auto;max-height:24rem;object-fit:contain;object-position:left}
.scale{display:grid;grid-template-columns:auto minmax(3rem,11rem) auto 1fr;gap:.3rem .6rem;align-items:center;
font-size:.8rem;font-variant-numeric:tabular-nums;margin-top:.35rem}
.scale i{height:.65rem;border-radius:3px}
.scale small{color:var(--muted);font-size:.78rem;line-height:1.35}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:12px;background:var(--card)}
table{border-collapse:collapse;font-size:.86rem}
.overview{font-size:.82rem}
.overview{width:100%;font-variant-numeric:tabular-nums}
.overview th,.overview td{padding:.4rem .45rem;text-align:right;white-space:nowrap;
border-top:1px solid var(--line)}
.overview thead th{border-top:0;color:var(--muted);font-weight:500;white-space:normal;vertical-align:bottom;
line-height:1.25;min-width:3.6rem}
.overview th:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
.overview td:nth-child(2),.overview thead th:nth-child(2){text-align:left}
.overview th[scope=row] div{display:flex;align-items:center;gap:.6rem;max-width:17rem}
.overview th span{font-weight:500;white-space:normal;overflow-wrap:anywhere;min-width:9rem}
.overview tfoot th,.overview tfoot td{font-weight:650;border-top:2px solid var(--line)}
.thumb{width:36px;height:36px;object-fit:cover;border-radius:5px;flex:none}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
footer{border-top:1px solid var(--line);margin-top:2.4rem;padding-top:1.2rem}
summary{cursor:pointer;font-weight:600}
footer h3{margin:1.2rem 0 .4rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem;margin:0;
white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
.tables{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:0 2rem}
.tables table{width:100%}
.tables th,.tables td{text-align:left;padding:.25rem .6rem .25rem 0;border-top:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
.tables th{font-weight:500;color:var(--muted)}
@media (max-width:820px){.codec{grid-template-columns:minmax(0,1fr)}}
@media (max-width:640px){.trio{grid-template-columns:minmax(0,1fr)}
.cards{display:flex;flex-direction:column}.cards>div{display:contents}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tile:last-child:nth-child(odd){grid-column:1/-1}
.latrow{grid-template-columns:minmax(0,1fr);gap:.2rem}.latrow.head b{display:none}
.scale{grid-template-columns:auto minmax(3rem,1fr) auto}.scale small{grid-column:1/-1}
.overview th:first-child{position:static}}
@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--muted:#444;--line:#ccc;--accent:#003a8c;--ok:#0b5a36;
--okbg:#e3f4ea;--amber:#6b4600;--amberbg:#fff2d6;--red:#8f1611;--redbg:#fde7e5;--good:#bcd9c8;
--t1:#4477aa;--t2:#e0a030;--t3:#228877;color-scheme:light}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
main{max-width:none;padding:0}.card,figure,.tiles,.banner,tr{break-inside:avoid}
article+article{break-before:page;border-top:0}h2,h3,.banner{break-after:avoid}.trio{grid-template-columns:repeat(3,minmax(0,1fr))}
.trio img,.stack img{max-height:none}
.scroll{overflow:visible;border:0}.overview{font-size:.62rem}.overview th,.overview td{padding:.2rem .3rem}}
"""
