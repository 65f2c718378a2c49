⍝ Mean shift, k-means and nearest neighbours: the fast.ai lesson's algorithms, and its homework's bonus, in APL.
⍝
⍝ Points are the rows of a matrix (n by d). Every line is a definition; the comment above it reads it aloud.
⍝ APL reads from right to left: a function takes all that stands to its right. ⍵ is the right argument, ⍺ the left.
⍝ Dyalog's notation, as far as the free interpreter MARPLE knows it: docs/apl.md explains each glyph.

⎕CT←0  ⍝ comparisons are exact: of two distances the less is the less

⍝ Gaussian weight of distances ⍵ at bandwidth ⍺: e to minus half the square of ⍵ over ⍺; by ⍺ times the root of two pi.
gauss←{(*¯0.5×(⍵÷⍺)*2)÷⍺×(○2)*0.5}

⍝ Triangular weight: ⍺ minus ⍵, or zero if that is more; by ⍺.
tri←{(0⌈⍺-⍵)÷⍺}

⍝ The sum of each row: its numbers as digits in base one, down the transpose. (+/ says the same; MARPLE goes number by
⍝ number there, and its +/ of the comparison 1 1=1 1 is 1.)
sum←1⊥⍉

⍝ Distances from the point ⍺ to the rows of ⍵: lay ⍺ out in ⍵'s shape; subtract; square; sum each row; take the root.
dist←{(sum(⍵-(⍴⍵)⍴⍺)*2)*0.5}

⍝ The table of distances: each row (rank 1) on the left against the whole matrix (rank 2) on the right.
dists←dist⍤1 2

⍝ Weighted means of the points ⍵: the weights' product with the points, each row by the sum of its weights.
mean←{(⍺+.×⍵)(÷⍤1 0)sum ⍺}

⍝ All at once: every point of ⍵ goes to the mean of ⍵ under the weights that ⍺⍺ gives its distances.
shift←{(⍺⍺ ⍵ dists ⍵)mean ⍵}

⍝ In place, like a queue: ⍺ points leave at the front, and join again at the end where they have gone.
move←{(⍺↓⍵),[1](⍺⍺(⍺↑⍵)dists ⍵)mean ⍵}

⍝ The lesson's two choices: the triangle that reaches to 8, the Gaussian of bandwidth 2.5.
tent←8∘tri
bell←2.5∘gauss

⍝ Point by point: let the first one move, as many times as there are points. Then all have, and they are in order again.
oneUpdate←{1({⍺(tent move)⍵}⍣(≢⍵))⍵}

⍝ Five rounds of that: to the power of five.
loop←oneUpdate⍣5

⍝ Batches of ⍺ rows: as many whole ones as fit; then, once or not at all (the sign of it), the rows that are left over.
batch←{⍺(bell move)⍵}
round←{(⍺|≢⍵)(batch⍣(×⍺|≢⍵))⍺(batch⍣(⌊(≢⍵)÷⍺))⍵}

⍝ Five rounds of those.
meanshift←round⍣5

⍝ The nearest row of ⍺ for each row of ⍵: where, in each row of the table of distances, the least one is first found.
label←{({⍵⍳⌊/⍵}⍤1)⍵ dists ⍺}

⍝ k-means of the points ⍺, one round for the centres ⍵: who owns which point (a table of 0 and 1, the weights of
⍝ this mean shift); owners' sums by how many they own. A centre that owns nothing counts once itself, and so stays.
lloyd←{own←(⍳≢⍵)∘.=⍵ label ⍺ ⋄ n←sum own ⋄ ((own+.×⍺)+⍵(×⍤1 0)0=n)(÷⍤1 0)1⌈n}

⍝ The ⍺ nearest: the first ⍺ of what puts each row of a table of distances in rising order.
nearest←{⍺(↑⍤1)(⍋⍤1)⍵}
