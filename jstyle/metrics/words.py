"""The nouns among which CLIP-R looks for a picture's own."""

from __future__ import annotations

# The 215 different words of the organisers' list, lower-cased; theirs has "watch" twice, which changes nothing.
_LIST = """
cat dog elephant lion tiger giraffe zebra bear monkey kangaroo panda wolf fox rabbit deer owl parrot eagle falcon
duck swan peacock butterfly bee ant fish shark dolphin whale octopus tree flower cactus bamboo rose tulip sunflower
lavender mountain river ocean lake beach forest desert valley canyon waterfall volcano island apple banana orange
strawberry cherry watermelon peach mango grapes pineapple tomato carrot potato onion lettuce cucumber corn bread
cheese pizza burger sushi cake ice_cream chocolate coffee tea milk juice soda water chair table sofa bed desk
cabinet shelf lamp clock mirror painting vase rug pillow blanket curtain towel phone laptop camera television radio
headphones watch glasses book notebook pen pencil brush scissors knife fork spoon plate cup bottle bag wallet key
umbrella hat shoes shirt pants dress coat scarf glove belt necklace earrings bracelet ring sunglasses backpack
suitcase ball bicycle skateboard scooter car bus train plane boat rocket moon star sun cloud snow fire smoke sand
rock grass leaf branch seed fence gate road bridge building house castle statue playground park zoo aquarium museum
library school hospital church temple shop market mall restaurant cafe hotel airport station port factory farm gym
stadium pool cinema theatre opera gallery studio office workshop garage shed barn greenhouse windmill lighthouse
tower ship chopsticks medicine computer sheep donkey cow lobster
"""

WORDS = tuple(word.replace("_", " ") for word in _LIST.split())
