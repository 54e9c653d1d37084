"""Colours and style sheet of the report: light or dark as the reader prefers, and printable."""

__all__ = ["DARK", "LIGHT", "style_sheet"]

LIGHT = {
    "ink": "#1a1f27",
    "muted": "#5b6572",
    "line": "#bcc5d0",
    "grid": "#e4e8ed",
    "panel": "#f4f6f8",
    "ground": "#ffffff",
    "accent": "#1f5fd0",
    "second": "#c8660a",
    "third": "#0d8265",
    "bad": "#c23a2b",
    "none": "none",
}

DARK = {
    "ink": "#e7eaee",
    "muted": "#9ba6b4",
    "line": "#465262",
    "grid": "#28303a",
    "panel": "#1d232b",
    "ground": "#13171c",
    "accent": "#7fabff",
    "second": "#f0a35a",
    "third": "#4fc7a4",
    "bad": "#ff8b7e",
    "none": "none",
}


def style_sheet() -> str:
    """The content of the page's style element."""
    roles = "".join(
        f".f-{role}{{fill:{_value(role)}}}.s-{role}{{stroke:{_value(role)}}}" for role in LIGHT
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    return f":root{{{_variables(LIGHT)};color-scheme:light dark}}{dark}{roles}{_RULES}"


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"--{role}:{colour}" for role, colour in colours.items() if role != "none")


def _value(role: str) -> str:
    return "none" if role == "none" else f"var(--{role})"


_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:clamp(1.5rem,4.5vw,2.1rem);line-height:1.2;margin:.2rem 0 .4rem;
 letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:3rem 0 .6rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.5rem 0;max-width:44rem}
small,.muted{color:var(--muted)}
.brow{font-size:.8rem;letter-spacing:.08em;text-transform:uppercase;color:var(--muted);margin:0}
.state{display:inline-block;padding:.05rem .6rem;border:1px solid var(--line);border-radius:1rem;
 font-size:.8rem;letter-spacing:0;text-transform:none;margin-left:.5rem}
.score{display:grid;grid-template-columns:auto 1fr;gap:.4rem 2rem;align-items:center;
 margin:1.6rem 0;padding:1.4rem 1.6rem;background:var(--panel);border-radius:14px}
.score b{font-size:clamp(2.6rem,9vw,4rem);line-height:1;letter-spacing:-.03em;color:var(--accent);
 white-space:nowrap}
.score p{margin:.2rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.8rem;padding:0;
 margin:1rem 0;list-style:none}
.tiles li{border:1px solid var(--grid);border-radius:10px;padding:.6rem .9rem;line-height:1.35}
.tiles b{display:block;font-size:1.15rem;letter-spacing:-.01em;white-space:nowrap}
.tiles span{font-size:.82rem;color:var(--muted)}
pre{background:var(--panel);border-radius:10px;padding:.9rem 1.1rem;overflow-x:auto;
 font-size:.86rem;line-height:1.7}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.two{display:flex;flex-wrap:wrap;gap:1rem 2.6rem;align-items:flex-start}
.two>.text{flex:1 1 19rem;min-width:0}
.why{padding-left:1.2rem;margin:.4rem 0}
.why li{margin:.45rem 0}
figure{margin:1rem 0;min-width:0;max-width:100%}
figcaption{font-size:.86rem;color:var(--muted);max-width:44rem;margin-top:.3rem}
figcaption.above{margin:0 0 .5rem;color:var(--ink);font-weight:600;font-size:.95rem}
.scroll{overflow-x:auto;max-width:100%}
svg.picture{display:block;max-width:100%;height:auto;
 font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.scroll>svg.picture{max-width:none}
.narrow{display:none}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--muted);font-size:.8rem}
th,td{padding:.42rem .8rem .42rem 0;border-bottom:1px solid var(--grid);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
td.design{min-width:15rem}
tr.member td{background:var(--panel)}
tr.member td:first-child{box-shadow:inset 3px 0 var(--accent)}
td:first-child,th:first-child{padding-left:.7rem}
.tag{font-size:.75rem;color:var(--accent);white-space:nowrap;font-weight:600}
details{margin:.6rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.92rem}
.chips{display:flex;flex-wrap:wrap;gap:.4rem;padding:0;list-style:none;margin:.8rem 0}
.chips li{background:var(--panel);border-radius:7px;padding:.12rem .6rem;font-size:.86rem;
 overflow-wrap:anywhere}
.chips span{color:var(--muted);margin-left:.35rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.4rem;font-size:.9rem;
 margin:.8rem 0}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--grid);font-size:.82rem;
 color:var(--muted)}
@media (max-width:640px){
 main{padding:1.4rem 1rem 3rem}
 .wide{display:none}.narrow{display:block}
 .score{grid-template-columns:1fr;padding:1.1rem 1.2rem}
 dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}
}
@media print{
 body{font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
 main{max-width:none;padding:0}
 h2{break-after:avoid}figure,tr,.score,.tiles li{break-inside:avoid}
 .wide{display:block}.narrow{display:none}
}
"""
