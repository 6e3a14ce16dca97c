"""The closed lists of words that the audit knows: unit sizes, words that change a number, words that no unit can be."""

from fractions import Fraction

_SIZES = """
0.01 cent cents ¢ penny pennies
0.05 nickel nickels
0.1 dime dimes
0.25 quarter quarters
1 month months ounce ounces oz cup cups
1 dollar dollars buck bucks second seconds sec secs gram grams milliliter milliliters ml inch inches millimeter millimeters mm
12 year years yr yrs dozen dozens foot feet ft
2 pint pints
4 quart quarts
36 yard yards
63360 mile miles
10 centimeter centimeters centimetre centimetres cm
1000 thousand kilogram kilograms kg liter liters litre litres meter meters metre metres
100 hundred
1000000 million kilometer kilometers kilometre kilometres km
1000000000 billion
60 minute minutes min mins
3600 hour hours hr hrs
86400 day days
604800 week weeks
120 decade decades
1200 century centuries
16 gallon gallons pound pounds lb lbs
32000 ton tons
"""
SIZES = {
    word: int(size) if size.isdigit() else Fraction(size)
    for size, *words in map(str.split, _SIZES.strip().split("\n"))
    for word in words
}

# A month has no one number of days: where these meet other units, a claim that looks false is not reported.
CALENDAR = frozenset("month months year years yr yrs decade decades century centuries".split())

# After a number these are never its unit: what stands before and what comes after are read apart.
NOT_UNITS = frozenset(
    "and or but if then so because since than twice thrice half halves third thirds fourth fourths fifth fifths sixth sixths "
    "eighth eighths tenth tenths squared cubed over by divided multiplied mod modulo remainder are was were equal to which that "
    "gives gets get makes we he she they it let".split()
)  # fmt: skip

# Before a number these change its value, so that the expression does not begin where its digits do.
CHANGES_NEXT = frozenset(
    "twice thrice double triple half negative sqrt log ln sin cos tan root max min gcd lcm mod modulo floor ceil than by "
    "divided multiplied squared cubed power base over".split()
)  # fmt: skip
PARTS = frozenset(
    "half third thirds fourth fourths quarter quarters fifth fifths sixth sixths eighth eighths tenth tenths root square double "
    "twice triple most percent product quotient difference factorial".split()
)  # fmt: skip
LABELS = frozenset(
    "step day week month year problem question part case equation no number room page chapter grade level option "
    "steps days weeks months years problems questions parts cases equations rooms pages chapters grades levels options".split()
)  # fmt: skip
APPROXIMATELY = frozenset("about approximately roughly around nearly almost approx".split())
