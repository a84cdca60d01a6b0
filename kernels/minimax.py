#!/usr/bin/env python3
"""Where the constants of the activation kernels come from.

Every coefficient is derived here from the function it approximates:

1. ``minimax`` finds the best real coefficients in 40-digit arithmetic (Remez exchange with Newton's
   method; where the basis has no Chebyshev alternation, because a fixed leading term makes the error
   vanish inside the interval, Lawson's reweighted least squares).
2. ``lattice`` rounds them to f32 *together*: a K-best search of the closest lattice point, where each
   coefficient may move by a few units in the last place to make up for the others.
3. A kernel is evaluated exactly as the Rust code does, in f32 with fused multiply-adds, and measured
   against mpmath or double precision. Where rounding dominates, the search keeps the candidate whose
   evaluation errs least.

Needs numpy and mpmath. Runs in a few minutes: ``python minimax.py``; one section: ``python minimax.py tanh``.
"""

import sys

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 40
F = np.float32
D = np.float64

# --------------------------------------------------------------------------- f32 arithmetic


def fma(a, b, c):
    """f32 fused multiply-add, correctly rounded: f64 product (exact) and sum, rounded to odd, then to f32."""
    p = np.asarray(a, F).astype(D) * np.asarray(b, F).astype(D)
    c = np.asarray(c, F).astype(D)
    with np.errstate(all="ignore"):
        s = np.asarray(p + c)
        t = s - p
        err = (p - (s - t)) + (c - t)
        # where the sum is inexact and its last bit even, step towards the exact value
        even = (s.view(np.int64) & 1) == 0
        fix = (err != 0) & even & np.isfinite(s)
        s = np.where(fix, np.nextafter(s, np.where(err > 0, np.inf, -np.inf)), s)
        return s.astype(F)


def horner(coefficients, x):
    """Coefficients from the constant up; one fma each."""
    value = np.full_like(x, F(coefficients[-1]))
    for c in reversed(coefficients[:-1]):
        value = fma(value, x, F(c))
    return value


def bits(x):
    return np.asarray(x, F).view(np.uint32)


def from_bits(b):
    return np.asarray(b, np.uint32).view(F)


def ulp(exact):
    """Size of a unit in the last place of f32 at the exact values."""
    a = np.maximum(np.abs(exact), 2.0**-126)
    return 2.0 ** (np.floor(np.log2(a)) - 23)


def floats(low, high, count):
    """About `count` f32 values evenly spread over the bit patterns of [low, high], both >= 0."""
    a, b = int(bits(F(low))), int(bits(F(high)))
    return from_bits(np.arange(a, b, max(1, (b - a) // count), dtype=np.uint32))


# --------------------------------------------------------------------------- fitting


def poly(c, x):
    s = mpf(0)
    for k in reversed(c):
        s = s * x + k
    return s


def minimax(f, low, high, p_degree, q_degree=0, p_fixed=(), q_fixed=(1,), weight=None, points=300):
    """Best p/q for f on [low, high]: minimises |p/q - f| * weight (default 1/|f|).

    `p_fixed`, `q_fixed` are given leading coefficients. Returns p, q and the weighted error.
    """
    weight = weight or (lambda x: 1 / abs(f(x)))
    low, high = mpf(low), mpf(high)
    scale = max(abs(low), abs(high))
    grid = [low + (high - low) * (1 - mpmath.cos(mp.pi * (i + mpf("0.5")) / points)) / 2 for i in range(points)]
    grid.append(high)
    if not p_fixed or low != 0:
        grid.insert(0, low)
    grid = [x for x in grid if x != 0 or not p_fixed]
    m = len(grid)
    F_, W = [f(x) for x in grid], [weight(x) for x in grid]
    X = [[(x / scale) ** k for k in range(max(p_degree, q_degree) + 1)] for x in grid]
    pf = [mpf(c) * scale**k for k, c in enumerate(p_fixed)]
    qf = [mpf(c) * scale**k for k, c in enumerate(q_fixed)]
    kp, kq = range(len(pf), p_degree + 1), range(len(qf), q_degree + 1)
    n = len(kp) + len(kq)

    def split(x):
        return pf + list(x[: len(kp)]), qf + list(x[len(kp) : n])

    def values(x):
        p, q = split(x)
        return [mpmath.fdot(p, r) for r in X], [mpmath.fdot(q, r) for r in X]

    def errors(x):
        P, Q = values(x)
        return [(P[i] / Q[i] - F_[i]) * W[i] for i in range(m)]

    def result(x, error):
        p, q = split(x)
        return [c / scale**k for k, c in enumerate(p)], [c / scale**k for k, c in enumerate(q)], error

    def lawson(rounds):
        index = range(0, m, 3 if rounds < 20 else 2)
        Q, L, best = [mpf(1)] * m, [mpf(1)] * m, None
        for _ in range(rounds):
            A, b = mp.matrix(len(index), n), mp.matrix(len(index), 1)
            for r, i in enumerate(index):
                s = W[i] / Q[i] * mpmath.sqrt(L[i])
                for c, k in enumerate(kp):
                    A[r, c] = X[i][k] * s
                for c, k in enumerate(kq):
                    A[r, len(kp) + c] = -F_[i] * X[i][k] * s
                b[r] = s * (F_[i] * mpmath.fdot(qf, X[i][: len(qf)]) - mpmath.fdot(pf, X[i][: len(pf)]))
            x = mp.lu_solve(A.T * A, A.T * b)
            Q = values(x)[1]
            e = [abs(v) for v in errors(x)]
            top = max(e)
            if best is None or top < best[0]:
                best = (top, x)
            L = [L[i] * (e[i] / top + mpf("0.03")) for i in range(m)]
        return best

    start, x = lawson(12 if len(kq) else 4)
    for _ in range(40):
        e = errors(x)
        peaks = []
        for i in range(m):
            if peaks and (e[i] > 0) == (e[peaks[-1]] > 0):
                if abs(e[i]) > abs(e[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > n + 1:
            j = min(range(len(peaks)), key=lambda t: abs(e[peaks[t]]))
            if len(peaks) == n + 2 or j in (0, len(peaks) - 1):
                peaks.pop(0 if abs(e[peaks[0]]) < abs(e[peaks[-1]]) else -1)
            else:
                k = j + 1 if abs(e[peaks[j + 1]]) < abs(e[peaks[j - 1]]) else j - 1
                for t in sorted((j, k), reverse=True):
                    peaks.pop(t)
        top, low_peak = max(map(abs, e)), min(abs(e[i]) for i in peaks)
        if len(peaks) < n + 1:
            break
        if top - low_peak < top * mpf("1e-6"):
            if top > start:  # level but not best: the basis has no Chebyshev alternation
                break
            return result(x, top)
        sign = [1 if e[i] > 0 else -1 for i in peaks]
        E = sum(abs(e[i]) for i in peaks) / len(peaks)
        for _ in range(30):
            p, q = split(x)
            A, b = mp.matrix(n + 1, n + 1), mp.matrix(n + 1, 1)
            for r, i in enumerate(peaks):
                t = F_[i] + sign[r] * E / W[i]
                pp, qq = mpmath.fdot(p, X[i]), mpmath.fdot(q, X[i])
                for c, k in enumerate(kp):
                    A[r, c] = X[i][k]
                for c, k in enumerate(kq):
                    A[r, len(kp) + c] = -t * X[i][k]
                A[r, n] = -sign[r] / W[i] * qq
                b[r] = t * qq - pp
            d = mp.lu_solve(A, b)
            x = mp.matrix([x[k] + d[k] for k in range(n)])
            E += d[n]
            if max(abs(d[k]) for k in range(n)) < mpf(10) ** -25 * max(abs(x[k]) for k in range(n)):
                break
    top, x = lawson(60)
    return result(x, top)


def lattice(f, low, high, p, q, p_fixed=0, q_fixed=1, weight=None, beam=4000, points=500):
    """Round p and q (beyond the fixed leading coefficients) to f32 together.

    Returns (error, p, q) tuples with f32 coefficients, best first.
    """
    weight = weight or (lambda x: 1 / abs(f(x)))
    low, high = mpf(low), mpf(high)
    xs = [low + (high - low) * (1 - mpmath.cos(mp.pi * (i + mpf("0.5")) / points)) / 2 for i in range(points)]
    P, Q, W = [poly(p, x) for x in xs], [poly(q, x) for x in xs], [weight(x) for x in xs]
    e0 = np.array([float((P[i] / Q[i] - f(x)) * W[i]) for i, x in enumerate(xs)])
    J = np.array(
        [
            [float(x**k / Q[i] * W[i]) for k in range(p_fixed, len(p))]
            + [float(-P[i] * x**k / Q[i] ** 2 * W[i]) for k in range(q_fixed, len(q))]
            for i, x in enumerate(xs)
        ]
    )
    c0 = np.array([float(c) for c in list(p[p_fixed:]) + list(q[q_fixed:])])
    step = 2.0 ** (np.floor(np.log2(np.abs(c0))) - 23)
    base = (c0.astype(F).astype(D) - c0) / step
    n = len(c0)
    A = J * step
    order = np.argsort(np.linalg.norm(A, axis=0), kind="stable")  # the coefficient that matters most is set first
    Qr, R = np.linalg.qr(A[:, order])
    y = -Qr.T @ e0
    Z, cost = np.zeros((1, n)), np.zeros(1)
    offsets = np.arange(-3, 4)
    for k in range(n - 1, -1, -1):
        rest = y[k] - Z[:, k + 1 :] @ R[k, k + 1 :]
        z = np.round(rest / R[k, k] - base[order[k]])[:, None] + offsets + base[order[k]]
        c = cost[:, None] + (R[k, k] * z - rest[:, None]) ** 2
        Z = np.repeat(Z, len(offsets), axis=0)
        Z[:, k] = z.ravel()
        keep = np.argsort(c.ravel(), kind="stable")[:beam]
        Z, cost = Z[keep], c.ravel()[keep]
    moves = np.zeros((len(Z), n))
    moves[:, order] = Z
    moves *= step
    worst = np.abs(e0[:, None] + J @ moves.T).max(axis=0)
    out = []
    split = len(p) - p_fixed
    for i in np.argsort(worst, kind="stable"):
        c = (c0 + moves[i]).astype(F)
        out.append((worst[i], [F(v) for v in p[:p_fixed]] + list(c[:split]), [F(v) for v in q[:q_fixed]] + list(c[split:])))
    return out


# --------------------------------------------------------------------------- output


def literal(c):
    return np.format_float_scientific(F(c), unique=True, trim="0") if abs(c) < 1e-4 else np.format_float_positional(F(c), unique=True, trim="0")


def show(name, coefficients):
    print(f"const {name}: [f32; {len(coefficients)}] = [{', '.join(literal(c) for c in coefficients)}];")


def measure(name, got, exact, x):
    """Largest error in ULP of the exact value and absolutely, and where."""
    e = np.abs(got.astype(D) - exact)
    u = e / ulp(exact)
    i, j = int(np.argmax(u)), int(np.argmax(e))
    print(f"  {name}: {u[i]:.3f} ULP at x = {x[i]:.9g}, absolute {e[j]:.3e} at x = {x[j]:.9g}, {len(x)} points")


def apply(f, x):
    """A double-precision reference through mpmath (15 digits are plenty against f32)."""
    with mp.workdps(20):
        return np.array([float(f(mpf(float(v)))) for v in x])


# --------------------------------------------------------------------------- kernels

MAGIC = F(1.5 * 2**23)  # adding it rounds to an integer and leaves it in the low bits
GATE_MAGIC = MAGIC + F(127)  # the same, with the exponent's bias: the low bits, moved up by 23, are 2^n
LOG2E = F(float(1 / mpmath.log(2)))
# ln 2 in two parts: the high one short enough that n * LN2_HI is exact for every exponent n
LN2_HI = F(0.693359375)
LN2_LO = F(float(mpmath.log(2) - mpf("0.693359375")))


def clamp(x, low, high):
    return np.minimum(np.maximum(x, F(low)), F(high))


def gate_exp(x, c):
    """exp(-x) for the fused gates: sigmoid(x) = 1 / (1 + gate_exp(x)). Absolute accuracy of the sigmoid is what counts."""
    x = clamp(x, -18, 18)
    t = fma(x, -LOG2E, GATE_MAGIC)
    r = fma(x, -LOG2E, -(t - GATE_MAGIC))
    return horner(c, r) * from_bits(bits(t) << np.uint32(23))  # a product, so that NaN passes


def gate_tanh(x, p, q, bound=9):
    """tanh(x) = T / Q, from tanh(x/2) = P / (2 q): T = P q, Q = q^2 + P^2 / 4. Errors of P and q fade like 1 / cosh(x)."""
    x = clamp(x, -bound, bound)
    u = x * x
    d = horner(q, u)
    n = fma(x * u, horner(p[1:], u), x)
    return n * d, fma(n * F(0.25), n, d * d)


def reduce_exp(x):
    t = fma(x, LOG2E, MAGIC)
    n = t - MAGIC
    r = fma(n, -LN2_HI, x)
    r = fma(n, -LN2_LO, r)
    return bits(t).astype(np.int64) - int(bits(MAGIC)), r


def power(n):
    return from_bits(((n + 127) << 23).astype(np.uint32))


def expm1_poly(r, c):
    return fma(r * r, horner(c, r), r)


def exp(x, c, tail=None):
    """exp(x - tail / 2); the tail is the rounding error of a square, put back."""
    n, r = reduce_exp(clamp(x, -104, 89))
    if tail is not None:
        r = fma(tail, F(-0.5), r)
    half = n >> 1
    with np.errstate(over="ignore", under="ignore"):
        return (expm1_poly(r, c) + F(1)) * power(half) * power(n - half)


def expm1(x, c):
    """For x <= 88.02; `expm1` of larger x only overflows later than this form."""
    n, r = reduce_exp(clamp(x, -18, 88))
    s = power(n)
    return fma(s, expm1_poly(r, c), s - F(1))


def sigmoid(x, c):
    e = exp(-np.abs(x), c)
    return np.where(x < 0, e, F(1)) / (F(1) + e)


def tanh(x, c):
    a = np.minimum(np.abs(x), F(9.1))
    e = expm1(a + a, c)
    return np.copysign(e / (e + F(2)), x)


def log1p(y, c):
    """For y in [0, 1]."""
    return fma(-(y * y), horner(c, y), y)


def ln(x, c):
    """For positive normal x."""
    k = (bits(x).astype(np.int64) - int(bits(F(2**-0.5)))) >> 23
    f = from_bits((bits(x).astype(np.int64) - (k << 23)).astype(np.uint32)) - F(1)
    n = k.astype(F)
    f2 = f * f
    s = fma(f * f2, horner(c, f), n * LN2_LO)
    s = fma(f2, F(-0.5), s)
    return fma(n, LN2_HI, s + f)


def softplus(x, e, l):
    return np.maximum(x, F(0)) + log1p(exp(-np.abs(x), e), l)


def gelu(x, e, p, q):
    """x Phi(x) = max(x, 0) - |x| Phi(-|x|), Phi(-a) = exp(-a^2/2) R(a); the square's rounding error is put back."""
    a = np.minimum(np.abs(x), F(14.5))
    s = a * a
    h = exp(s * F(-0.5), e, fma(a, a, -s))
    w = (a * horner(p, a)) / horner(q, a)
    return fma(-w, h, np.maximum(x, F(0)))


def erf(x, e, small, large, cut):
    a = np.abs(x)
    u = x * x
    near = fma(x, horner(small, u), x)
    b = np.minimum(a, F(4))
    far = np.copysign(F(1) - exp(-horner(large, b), e), x)
    return np.where(a < F(cut), near, far)


# --------------------------------------------------------------------------- derivations


def derive_gates():
    print("# fused gates: tanh by a half-angle rational, u = x^2 on [0, 81]")

    def f(u):
        s = mpmath.sqrt(u) / 2
        return mpmath.tanh(s) / s if u else mpf(1)

    def weight(u):  # the double angle divides a relative error by cosh(x)
        return 1 / (f(u) * mpmath.cosh(mpmath.sqrt(u)))

    p, q, e = minimax(f, 0, 81, 2, 3, (1,), (1,), weight)
    found = lattice(f, 0, 81, p, q, 1, 1, weight)
    x = np.concatenate([floats(0.01, 9, 60000), floats(0.25, 4, 120000)])
    exact = np.tanh(x.astype(D))

    def cost(c):
        T, Q = gate_tanh(x, c[1], c[2])
        Tb, Qb = gate_tanh(np.array([9], F), c[1], c[2])
        return np.inf if Tb[0] != Qb[0] or (T > Q).any() else np.abs((T / Q).astype(D) - exact).max()

    best = min(found[:300], key=cost)
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {best[0]:.4g} (relative to tanh)")
    show("GATE_TANH_P", best[1])
    show("GATE_TANH_Q", best[2])
    x = np.concatenate([floats(2.0**-126, 20, 3000000), floats(0.1, 9.1, 1000000)])
    T, Q = gate_tanh(x, best[1], best[2])
    measure("tanh", T / Q, np.tanh(x.astype(D)), x)
    print(f"  T <= Q everywhere: {bool((T <= Q).all())}; T == Q beyond 9: {bool((T == Q)[x >= 9].all())}; largest Q {Q.max():.1f}")

    print("# fused gates: 2^r on [-1/2, 1/2], constant term 1")
    g = lambda r: mpf(2) ** r
    p2, q2, e = minimax(g, "-0.5", "0.5", 5, 0, (1,))
    found = lattice(g, "-0.5", "0.5", p2, q2, 1, 1)
    x = np.random.default_rng(1).uniform(-9, 9, 200000).astype(F)
    exact = 1 / (1 + np.exp(-x.astype(D)))
    c = min(found[:300], key=lambda c: np.abs((F(1) / (F(1) + gate_exp(x, c[1]))).astype(D) - exact).max())
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {c[0]:.4g}")
    show("GATE_EXP", c[1])
    x = np.random.default_rng(2).uniform(-20, 20, 2000000).astype(F)
    error = np.abs(F(1) / (F(1) + gate_exp(x, c[1])) - 1 / (1 + np.exp(-x.astype(D))))
    print(f"  sigmoid: absolute {error.max():.3e}")
    cells(c[1], best[1], best[2])


def cells(ce, p, q, count=2000000):
    rng = np.random.default_rng(3)
    i, f, g, o = ((rng.normal(0, 1, count) * rng.choice([0.5, 2, 6], count)).astype(F) for _ in range(4))
    c = (rng.normal(0, 1, count) * rng.choice([0.3, 1, 10], count)).astype(F)
    sg = lambda v: 1 / (1 + np.exp(-v.astype(D)))
    Tg, Qg = gate_tanh(g, p, q)
    ei, ef, eo = (gate_exp(v, ce) for v in (i, f, o))
    one = F(1)
    c2 = fma(one / (one + ef), c, Tg / fma(ei, Qg, Qg))
    Tc, Qc = gate_tanh(c2, p, q)
    h2 = Tc / fma(eo, Qc, Qc)
    d = fma(ei, Qg, Qg)
    c1 = fma(c, d, fma(Tg, ef, Tg)) / fma(d, ef, d)
    ce_ = sg(f) * c + sg(i) * np.tanh(g.astype(D))
    he = sg(o) * np.tanh(ce_)
    s = np.maximum(1, np.abs(c.astype(D)))
    print(f"  LSTM step: c' {np.max(np.abs(c2 - ce_) / s):.3e}, h' {np.max(np.abs(h2 - he) / s):.3e} (of max(1, |c|))")
    print(f"  LSTM step with one division: c' {np.max(np.abs(c1 - ce_) / s):.3e}")
    h = rng.uniform(-1, 1, count).astype(F)
    h3 = fma(ei, Tg, h * Qg) / fma(ei, Qg, Qg)
    z = sg(i)
    print(f"  GRU step: h' {np.max(np.abs(h3 - (z * h + (1 - z) * np.tanh(g.astype(D))))):.3e}")


def compare_direct():
    print("# for comparison: tanh as one rational x p(u) / q(u), ideal error on (0, 9]; and 9/8 evaluated in f32")

    def f(u):
        s = mpmath.sqrt(u)
        return mpmath.tanh(s) / s if u else mpf(1)

    for a, b in ((3, 4), (4, 3), (4, 4), (5, 3), (4, 5), (5, 4), (6, 3)):
        p, q, e = minimax(f, 0, 81, a, b, (1,), (1,))
        print(f"  degree {2 * a + 1}/{2 * b}: {mpmath.nstr(e, 4)}, {a + b} fma")
    p, q, _ = minimax(f, 0, 81, 4, 4, (1,), (1,))
    e, p, q = lattice(f, 0, 81, p, q, 1, 1)[0]
    show("TANH_P", p)
    show("TANH_Q", q)
    x = floats(2.0**-20, 9, 1000000)
    u = x * x
    P, Q = fma(x * u, horner(p[1:], u), x), horner(q, u)
    print(f"  9/8 with f32 coefficients {e:.4g}")
    measure("tanh", np.clip(P, -Q, Q) / Q, np.tanh(x.astype(D)), x)


def derive_exp():
    print("# exp, expm1: (e^r - 1 - r) / r^2 on [-0.3467, 0.3467], relative to e^r - 1")
    f = lambda r: (mpmath.expm1(r) - r) / r**2 if abs(r) > mpf("1e-12") else mpf("0.5")
    weight = lambda r: abs(r**2 / mpmath.expm1(r)) if r else mpf(0)
    p, q, e = minimax(f, "-0.3467", "0.3467", 4, 0, (), (1,), weight)
    found = lattice(f, "-0.3467", "0.3467", p, q, 0, 1, weight)
    x = np.random.default_rng(4).uniform(-12, 12, 150000).astype(F)
    exact = np.exp(x.astype(D))
    best = min(found[:200], key=lambda c: (np.abs(exp(x, c[1]) - exact) / ulp(exact)).max())
    c = best[1]
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {best[0]:.4g}")
    show("EXPM1", c)
    print(f"const LOG2E: f32 = {literal(LOG2E)}; const LN2_HI: f32 = {literal(LN2_HI)}; const LN2_LO: f32 = {literal(LN2_LO)};")
    x = np.concatenate([floats(2.0**-30, 88.72, 500000), -floats(2.0**-30, 104, 500000)])
    measure("exp", exp(x, c), np.exp(x.astype(D)), x)
    x = np.concatenate([floats(2.0**-126, 88, 500000), -floats(2.0**-126, 104, 500000)])
    measure("expm1", expm1(x, c), np.expm1(x.astype(D)), x)
    x = np.concatenate([floats(2.0**-30, 110, 500000), -floats(2.0**-30, 110, 500000)])
    e = np.exp(-np.abs(x.astype(D)))
    measure("sigmoid", sigmoid(x, c), np.where(x < 0, e, 1) / (1 + e), x)
    x = floats(2.0**-126, 20, 1000000)
    measure("tanh", tanh(x, c), np.tanh(x.astype(D)), x)
    return c


def derive_log(ce):
    print("# log1p on [0, 1]: (y - log1p(y)) / y^2, relative to log1p(y)")

    def f(y):
        return (y - mpmath.log1p(y)) / y**2 if y > mpf("1e-12") else mpf("0.5")

    weight = lambda y: y**2 / mpmath.log1p(y) if y else mpf(0)
    p, q, e = minimax(f, 0, 1, 8, 0, (), (1,), weight)
    found = lattice(f, 0, 1, p, q, 0, 1, weight)
    y = floats(0.01, 1, 50000)
    exact = np.log1p(y.astype(D))
    best = min(found[:100], key=lambda c: (np.abs(log1p(y, c[1]) - exact) / ulp(exact)).max())
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {best[0]:.4g}")
    show("LOG1P", best[1])
    y = floats(2.0**-126, 1, 1000000)
    measure("log1p", log1p(y, best[1]), np.log1p(y.astype(D)), y)
    x = np.concatenate([floats(2.0**-30, 110, 500000), -floats(2.0**-30, 103, 500000)])
    measure("softplus", softplus(x, ce, best[1]), np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x.astype(D)))), x)

    print("# ln: (log1p(f) - f + f^2/2) / f^3 on [sqrt(1/2) - 1, sqrt(2) - 1], relative to log1p(f)")

    def g(f):
        return (mpmath.log1p(f) - f + f**2 / 2) / f**3 if abs(f) > mpf("1e-10") else mpf(1) / 3

    weight = lambda f: abs(f**3 / mpmath.log1p(f)) if f else mpf(0)
    low, high = mpmath.sqrt(mpf("0.5")) - 1, mpmath.sqrt(2) - 1
    p, q, e = minimax(g, low, high, 7, 0, (), (1,), weight)
    found = lattice(g, low, high, p, q, 0, 1, weight)
    x = floats(0.6, 2, 50000)
    exact = np.log(x.astype(D))
    c = min(found[:100], key=lambda c: (np.abs(ln(x, c[1]) - exact) / np.maximum(ulp(exact), 1e-300)).max())
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {c[0]:.4g}")
    show("LN", c[1])
    x = np.concatenate([floats(2.0**-126, 3e38, 500000), floats(0.5, 2.5, 500000)])
    x = x[x != 1]
    measure("ln", ln(x, c[1]), np.log(x.astype(D)), x)


def derive_gelu(ce):
    print("# gelu: exp(a^2/2) Phi(-a) on [0, 14.5]")
    f = lambda a: mpmath.exp(a * a / 2) * mpmath.erfc(a / mpmath.sqrt(2)) / 2
    p, q, e = minimax(f, 0, "14.5", 4, 5, ("0.5",), (1,))
    found = lattice(f, 0, "14.5", p, q, 1, 1)
    x = np.concatenate([floats(2.0**-10, 6, 3000), -floats(2.0**-10, 13, 5000)])
    exact = apply(lambda v: v * mpmath.ncdf(v), x)
    error, P, Q = min(found[:300], key=lambda c: (np.abs(gelu(x, ce, c[1], c[2]) - exact) / ulp(exact)).max())
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {error:.4g}")
    show("GELU_P", P)
    show("GELU_Q", Q)
    x = np.concatenate([floats(2.0**-30, 15, 20000), -floats(2.0**-30, 14, 30000)])
    got, exact = gelu(x, ce, P, Q), apply(lambda v: v * mpmath.ncdf(v), x)
    measure("gelu", got, exact, x)
    print(f"  gelu: {np.abs((got - exact) / x).max():.3e} of |x|")


def derive_erf(ce, cut=0.9):
    print(f"# erf: erf(x)/x - 1 in u = x^2 below {cut}, -ln erfc above")

    def f(u):
        s = mpmath.sqrt(u)
        return mpmath.erf(s) / s - 1 if u else 2 / mpmath.sqrt(mp.pi) - 1

    weight = lambda u: 1 / (1 + f(u))
    top = mpf(cut) ** 2
    p, q, e = minimax(f, 0, top, 5, 0, (), (1,), weight)
    found = lattice(f, 0, top, p, q, 0, 1, weight)
    small = found[0][1]
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {found[0][0]:.4g}")
    show("ERF_SMALL", small)
    g = lambda a: -mpmath.log(mpmath.erfc(a))
    weight = lambda a: mpmath.erfc(a) / mpmath.erf(a)
    p, q, e = minimax(g, cut, 4, 6, 0, (), (1,), weight)
    found = lattice(g, cut, 4, p, q, 0, 1, weight)
    large = found[0][1]
    print(f"  ideal {mpmath.nstr(e, 4)}, f32 coefficients {found[0][0]:.4g}")
    show("ERF_LARGE", large)
    x = np.concatenate([floats(2.0**-30, 5, 20000), floats(0.3, 4, 30000)])
    measure("erf", erf(x, ce, small, large, cut), apply(mpmath.erf, x), x)


def main():
    which = sys.argv[1:] or ["gates", "direct", "exp", "log", "gelu", "erf"]
    ce = derive_exp() if set(which) & {"exp", "log", "gelu", "erf"} else None
    if "gates" in which:
        derive_gates()
    if "direct" in which:
        compare_direct()
    for name, derive in (("log", derive_log), ("gelu", derive_gelu), ("erf", derive_erf)):
        if name in which:
            derive(ce)


if __name__ == "__main__":
    main()
