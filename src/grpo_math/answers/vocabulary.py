"""The words of the notation: which LaTeX commands and English words mean what to the lexer and the parser."""

import re


def _all(meaning: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), meaning)


# Unicode to what stands for it in LaTeX or ASCII.
CHARACTERS = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\uff0d\ufe63", "-"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u2061\u2062", ""),
    **dict.fromkeys("×⋅·∗✕", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **{"≤": "<=", "⩽": "<=", "≥": ">=", "⩾": ">=", "≠": "!=", "≈": r"\approx ", "∈": r"\in ", "＜": "<", "＞": ">", "＝": "="},
    **{"∞": r"\infty ", "π": r"\pi ", "√": " sqrt ", "°": r"^\circ ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap "},
    **{"∅": r"\emptyset ", "…": "...", "⋯": "..."},
    **{"ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}"},
    **{"⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil "},
    **dict(zip("，、；：（）。％＋′“”’‘", ",,;:().%+'\"\"''")),
}
for _letter, _name in zip("αβγδεθλμρσφωΔ", "alpha beta gamma delta epsilon theta lambda mu rho sigma phi omega Delta".split()):
    CHARACTERS[_letter] = f"\\{_name} "

# LaTeX commands that are one operator.
OPERATORS = {
    **_all("*", "cdot times ast"),
    **_all("<=", "le leq leqslant leqq"),
    **_all(">=", "ge geq geqslant geqq"),
    **_all("!=", "ne neq"),
    **_all("approx", "approx thickapprox doteq simeq"),
    **_all("|", "lvert rvert vert"),
    **_all("and", "land wedge"),
    **_all("or", "lor vee"),
    **_all("setminus", "setminus backslash"),
    **{"lbrace": "{s", "rbrace": "}s", "lbrack": "[", "rbrack": "]", "langle": "(", "rangle": ")"},
    **{"div": "/", "lt": "<", "gt": ">", "colon": ":", "degree": "deg", "prime": "'", "bmod": "mod"},
    **{name: name for name in "in cup cap pm mp mid lfloor rfloor lceil rceil equiv forall circ mod over".split()},
}
# LaTeX commands that are one variable or constant.
SYMBOLS = {
    **{name: name for name in "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau".split()},
    **{name: name for name in "upsilon phi chi psi omega pi Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()},
    **{name: name for name in "ell hbar angle triangle square".split()},
    **{"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "infty": "inf"},
    **_all("empty", "emptyset varnothing"),
    **_all("dots", "ldots cdots dots dotsc dotsb vdots"),
}
NUMBER_SYSTEMS = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh ln log lg exp min max gcd lcm "
    "asin acos atan sqrt abs floor ceil det arg Re Im".split()
)
# LaTeX commands with arguments.
COMMANDS = {
    **_all("frac", "frac dfrac tfrac cfrac"),
    **_all("binom", "binom dbinom tbinom"),
    **_all("group", "boxed fbox"),
    **{"sqrt": "sqrt", "begin": "begin", "end": "end"},
}
STYLES = frozenset("mathbf boldsymbol bm mathit mathsf pmb mathnormal".split())
ACCENTS = frozenset("overline bar vec hat tilde dot overrightarrow widehat mathcal".split())
TEXTS = frozenset("text textbf textit textrm textnormal textsf texttt mbox hbox mathrm operatorname emph".split())
PROSE_TEXTS = frozenset("text textrm textnormal mbox hbox".split())  # where a single letter is a word, and no variable
IGNORED = frozenset(
    "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle "
    "textstyle scriptstyle quad qquad limits nolimits hfill strut rm bf it".split()
)
# Commands that begin what we do not evaluate.
BIG_OPERATORS = frozenset({"\\sum", "\\prod", "\\int", "\\iint", "\\oint", "\\lim", "\\sup", "\\inf", "\\bigcup", "\\bigcap"})
# Plain words with a meaning of their own.
PLAIN_WORDS = {
    **{"pi": ("sym", "pi"), "and": ("op", "and"), "or": ("op", "or"), "deg": ("op", "deg"), "mod": ("op", "mod")},
    **dict.fromkeys(("infinity", "inf", "oo"), ("sym", "inf")),
}
# Words of two or three letters that are no products of variables; four letters and more always are a word.
SHORT_WORDS = frozenset(
    "cm mm km kg mg ml mL ft in mi oz lb lbs hr hrs min mins sec secs mph yd yds day days one two six ten "
    "for all per sq cup odd yes not non the any usd pts pt men th st nd rd way pen car pie bag box egg cat dog pig cow hen "
    "bus am pm".split()
)

UNIT_LETTERS = frozenset("hmsgL")  # metres, hours, ...: where they can be nothing else

MULTIPLIERS = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMBER_WORDS = {
    word: value for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
}
ORDINALS = frozenset({"th", "st", "nd", "rd"})
# Words before a value that do not change it.
INTRODUCTIONS = frozenset("approximately about roughly exactly only just around angle".split())
# Words that start a remark on the range of a parameter; what follows them is not part of the answer.
QUALIFIERS = frozenset({"for", "where"})
# Words after a number that change it, hedge it or take it back, and so are no units.
NO_UNITS = frozenset(
    "not but plus minus times squared cubed factorial half halves third thirds quarter quarters tenths "
    "score more less fewer most least none maybe wrong if when unless except to from by mod remainder otherwise perhaps probably "
    "no than both either neither".split()
)
# The same for words with letters beyond ASCII, as parts of them, because some scripts set no spaces: numerals, halves, hedges.
NO_UNIT_PARTS = re.compile(
    r"^[〇零一二三四五六七八九十百万萬亿億兆십백천만억]|^千(?![米克瓦卡])|以[上下内外]|左右|未[满満]|半|多|余|餘|不|没|非|或"
    r"|이상|이하|미만|초과|또는|아니|반$"
    r"|^(?:тыс|мил|млн|млрд|трил|полтор|полов|дюжин|или$|не$|без$|более|менее|больше|меньше|минус|плюс)"
    r"|ألف|آلاف|مليون|مليار|نصف|^أو$|^ليس|أكثر|أقل|^(?:हज़ार|हज़ार|हजार|लाख|करोड|आधा|या$|नहीं)"
    r"|^(?:más$|máximo|mínimo|mil[lh]?[óõ]|bill?[óõ]|moitié|hälfte|über$|ungefähr|tysi|tỷ|triệu|nghìn|trăm|rưỡi|hơn|hoặc)"
)
PHRASES = {
    **dict.fromkeys(("infinity", "infinite", "infinitely many", "infinitely many solutions"), "inf"),
    **dict.fromkeys(("empty set", "the empty set", "no solution", "no solutions", "no real solutions"), "empty"),
    **dict.fromkeys(("all real numbers", "all reals", "all real", "real numbers"), "reals"),
}
