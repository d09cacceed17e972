"""Words that the plain questions are made of: common English, listed for this project.

Where a question is about a word of a list, every third word is for test questions alone (see
`words_of_split`), so that no model is tested on a word whose answer it was taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Entry = TypeVar("Entry")


def words_of_split(words: Sequence[Entry], split: str) -> tuple[Entry, ...]:
    """Return every third of the words for "test" and the others for "train"."""
    return tuple(word for place, word in enumerate(words) if (place % 3 == 2) == (split == "test"))


def _table(text: str) -> tuple[tuple[str, ...], ...]:
    """Read entries like "bring/brought", set apart by spaces."""
    return tuple(tuple(entry.split("/")) for entry in text.split())


NAMES = tuple(
    "Anna Ben Carl Mary John Alice David Peter Jane Adam Max Frank Henry Tom Sam Jack Rose Mark "
    "Paul Victor Sarah Maria Robert George James Martin".split()
)
GOODS = tuple(
    "apples pencils marbles stickers coins books eggs shells buttons stamps cookies candles cards "
    "lemons balloons keys ribbons plums".split()
)
PAST_TENSES = _table(
    "bring/brought sing/sang drive/drove teach/taught fly/flew write/wrote eat/ate break/broke "
    "swim/swam buy/bought sleep/slept choose/chose drink/drank build/built give/gave "
    "think/thought run/ran speak/spoke catch/caught throw/threw keep/kept steal/stole "
    "begin/began send/sent know/knew forget/forgot stand/stood ride/rode feel/felt wear/wore "
    "draw/drew lose/lost freeze/froze leave/left hide/hid sell/sold ring/rang blow/blew "
    "find/found shake/shook fight/fought rise/rose meet/met grow/grew bite/bit spend/spent "
    "take/took win/won tell/told sink/sank hold/held wake/woke dig/dug bend/bent tear/tore "
    "make/made fall/fell seek/sought come/came lend/lent"
)
PLURALS = _table(
    "child/children mouse/mice leaf/leaves tooth/teeth city/cities man/men box/boxes goose/geese "
    "wolf/wolves baby/babies foot/feet knife/knives woman/women berry/berries bus/buses "
    "shelf/shelves potato/potatoes lady/ladies ox/oxen wife/wives fox/foxes story/stories "
    "half/halves dish/dishes tomato/tomatoes loaf/loaves party/parties watch/watches "
    "thief/thieves hero/heroes country/countries life/lives peach/peaches puppy/puppies "
    "calf/calves church/churches"
)
COMPARATIVES = _table(
    "good/better big/bigger happy/happier bad/worse hot/hotter easy/easier thin/thinner "
    "heavy/heavier nice/nicer busy/busier large/larger fat/fatter funny/funnier wet/wetter "
    "early/earlier brave/braver lucky/luckier sad/sadder pretty/prettier safe/safer "
    "noisy/noisier tall/taller dry/drier wide/wider"
)
CATEGORIES = {
    "animal": "horse rabbit tiger duck whale sheep eagle frog camel spider donkey shark monkey "
    "goat owl",
    "food": "bread cheese soup rice pasta butter salad pizza honey sausage cake noodles yogurt "
    "bacon pancake",
    "tool": "hammer saw drill axe shovel wrench screwdriver rake pliers chisel spade crowbar "
    "ladder sickle trowel",
    "vehicle": "car train boat truck bicycle airplane ship tractor bus helicopter scooter canoe "
    "tram van motorcycle",
    "plant": "maple oak tulip cactus fern daisy pine ivy moss bamboo lily willow clover orchid "
    "sunflower",
    "metal": "iron zinc lead steel tin nickel brass aluminum platinum titanium chrome tungsten "
    "lithium magnesium mercury",
    "country": "France Japan Brazil Egypt Canada India Spain Kenya Peru Norway Chile China Mexico "
    "Italy Poland",
    "color": "red blue green yellow purple brown black white gray pink crimson maroon beige "
    "turquoise scarlet",
}
SPELLED_WORDS = tuple(
    "lamp tree fish wind boat milk star desk frog gold hand king lion moon nest pond rain salt "
    "tent wolf yard bird clay drum envy flag gate hill iron jazz kite leaf mask nose oven path "
    "quiz road ship tape unit vase wall zero arch bell cave door exit fork glue hook jam knot "
    "lake mint note olive pear queen rose soup trap urn vine wave apple bread cloud dance earth "
    "floor grape house judge knife lemon music night onion piano river snake table uncle voice "
    "water youth zebra".split()
)
OPPOSITES = _table(
    "hot/cold/warm up/down/high early/late/soon wet/dry/damp full/empty/filled open/closed/ajar "
    "happy/sad/glad hard/soft/tough fast/slow/quick old/young/aged rich/poor/wealthy "
    "clean/dirty/neat light/dark/bright strong/weak/powerful near/far/close thick/thin/dense "
    "loud/quiet/noisy push/pull/shove buy/sell/purchase win/lose/gain love/hate/like "
    "remember/forget/recall always/never/often day/night/noon top/bottom/peak begin/end/start "
    "inside/outside/within above/below/over true/false/correct give/take/offer laugh/cry/giggle "
    "sweet/sour/sugary deep/shallow/low sharp/blunt/pointed brave/cowardly/bold "
    "awake/asleep/alert alive/dead/living cheap/expensive/inexpensive more/less/extra "
    "rise/fall/climb smooth/rough/even easy/difficult/simple arrive/leave/come "
    "accept/refuse/agree friend/enemy/pal heavy/light/weighty tall/short/lofty wide/narrow/broad "
    "war/peace/battle safe/dangerous/secure success/failure/victory"
)
"""A word, its opposite, and a word that means much the same."""
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
MONTHS = tuple(
    "January February March April May June July August September October November December".split()
)
UNITS = (
    ("centimeters", "meters", 100),
    ("meters", "kilometers", 1000),
    ("grams", "kilograms", 1000),
    ("minutes", "hours", 60),
    ("seconds", "minutes", 60),
    ("hours", "days", 24),
    ("days", "weeks", 7),
    ("months", "years", 12),
    ("millimeters", "centimeters", 10),
    ("cents", "dollars", 100),
    ("inches", "feet", 12),
    ("feet", "yards", 3),
)
"""The smaller unit, the larger one, and how many of the smaller make one of it."""
