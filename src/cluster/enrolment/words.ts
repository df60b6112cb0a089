// The words by which people compare two boxes: short, one for each value of a byte, no two of
// them one letter apart.

const WORDS = `
  acid acorn actor alarm album angel apple april arrow atlas attic bacon badge baker banjo barn basil beach beard
  bell bingo bird blade blue boat bonus book bowl bread brick broom brush bucket butter button cabin cactus camel
  candle canoe carpet castle cedar cello chair chalk cherry chess chief circle citrus clock cloud clown cobra
  coffee comet copper coral cotton cousin crab cream cross cube daisy dance desert diary dinner disco doctor
  donkey door dragon drum duck dune eagle earth echo edge eight elbow elf empire engine fairy falcon farm fence
  ferry field finger fire flag flute fog forest fork fossil fruit galaxy garden garlic ghost giant glass glove
  gold grape green guitar gym hammer harbor hat hazel heart helmet hero hobby honey horse hotel ice igloo ink
  insect iron island ivory jacket jaguar jazz jelly jewel judge jungle kayak kettle king kiosk kite kiwi koala
  ladder lake lamp laser lemon lily lion lizard lotus lunch magnet mango maple marble market meadow melon mirror
  moon motor mouse museum music napkin needle nest ninja noodle north nurse oasis ocean olive onion opera orange
  orbit otter oven paddle palace panda paper parrot pearl pencil pepper piano pilot pirate planet plum pocket poem
  pony potato puzzle queen quilt quiz rabbit radio raft rain raven ribbon river robot rose ruby salad salmon
  sandal school shadow sheep silver sister snow sofa spider spoon star summer swan table taxi tea tiger toast
  tomato tower tulip turtle uncle valley velvet violin wagon walnut water whale window winter wolf yacht yellow
  yoga zebra zigzag
`
  .trim()
  .split(/\s+/)

/** Words shown for one comparison: whoever wants to be mistaken for another has one guess in 2^32. */
const SHOWN = 4

/** A word for each of the first bytes. */
export const wordsOf = (bytes: Buffer): string => Array.from(bytes.subarray(0, SHOWN), (byte) => WORDS[byte]).join(' ')

export const allWords: readonly string[] = WORDS
