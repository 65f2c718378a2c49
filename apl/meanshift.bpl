⍝ The same algorithms in BasedPL, the APL of the lesson's author. Positions count from 0. Spaces group: a+b ÷ c+d is
⍝ (a+b)÷(c+d). Arrays agree from their first axes on, so a column of sums divides a matrix row by row.

⍝ Gaussian weight of distances ⍵ at bandwidth ⍺: e to minus half the square of ⍵ over ⍺; by ⍺ times the root of two pi.
gauss←{*(¯0.5×(⍵÷⍺)²) ÷ ⍺×√π2}

⍝ Triangular weight: ⍺ minus ⍵, or zero if that is more; by ⍺.
tri←{0⌈⍺-⍵ ÷ ⍺}

⍝ The table of distances between rows: a matrix product that squares differences where others multiply; its root.
dists←{√⍺+.{(⍺-⍵)²}⍉⍵}

⍝ Weighted means of the points ⍵: the weights' product with the points, by the sum of each row of weights.
mean←{⍺+.×⍵ ÷ +/⍺}

⍝ All at once: every point of ⍵ goes to the mean of ⍵ under the weights that ⍶ gives its distances.
shift←{(⍶ ⍵ dists ⍵) mean ⍵}

⍝ In place: the rows ⍺ of ⍵ are replaced (under the choice of these rows) by where they go.
move←{((⍶ ([⍺]⌷⍵) dists ⍵) mean ⍵)@⍺⊢⍵}

⍝ The lesson's two choices: the triangle that reaches to 8, the Gaussian of bandwidth 2.5.
tent←8↣tri
bell←2.5↣gauss

⍝ Point by point: fold the moves of all rows, with the points as they are for a seed. A fold begins at the end, hence ⌽.
one_update←{⍵(tent move)/⌽⍳≢⍵}

⍝ Five rounds of that: to the power of five.
loop←one_update⍣5

⍝ Batches of ⍺ rows: the row numbers, cut before each that ⍺ divides. The fold is over these.
batches←{(0=⍺|⍳≢⍵)⊂⍳≢⍵}
round←{⍵(bell move)/⌽⍺batches⍵}

⍝ Five rounds of those.
meanshift←round⍣5

⍝ The nearest row of ⍺ for each row of ⍵: the first that puts a row of the table of distances in rising order.
label←{↑∘⍋⍤1 ⍵ dists ⍺}

⍝ k-means of the points ⍺, one round for the centres ⍵: who owns which point (a table of 0 and 1, the weights of
⍝ this mean shift); owners' sums by how many they own. A centre that owns nothing counts once itself, and so stays.
lloyd←{own←(⍳≢⍵)=⊗⍵label⍺ ⋄ n←+/own ⋄ (own+.×⍺)+⍵×0=n ÷ 1⌈n}

⍝ The ⍺ nearest: the first ⍺ of what puts each row of a table of distances in rising order.
nearest←{(⍺↑⍋)⍤1 ⍵}
