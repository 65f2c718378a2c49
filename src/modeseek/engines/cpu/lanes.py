"""Sixteen numbers at once, in registers: what compiled loops of sixteen rounds are written in where that must be sure.

`Floats` are sixteen float64, `Singles` sixteen float32, `Ints` sixteen int64, a mask is an int64 with a bit for each.
Every operation rounds as its scalar does, and the compiler maps it to what registers the processor has.
"""

import operator

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 16
# sums that are kept in registers at once: enough to hide what a product takes, few enough to fit
SUMS = 16 if binding.get_host_cpu_features().get("avx512f") else 4


class _Lanes(types.Type):
    def __init__(self, name, element):
        self.element = element
        super().__init__(name)


Floats = _Lanes("Floats16", types.float64)
Singles = _Lanes("Singles16", types.float32)
Ints = _Lanes("Ints16", types.int64)
_ELEMENTS = {"Floats16": ir.DoubleType(), "Singles16": ir.FloatType(), "Ints16": ir.IntType(64)}
_BITS = ir.IntType(WIDTH)
_INDEX = ir.IntType(32)


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.VectorType(_ELEMENTS[fe_type.name], WIDTH))


def _spread(builder, vector, value):
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INDEX(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, WIDTH), [0] * WIDTH))


def _mask(builder, ones):
    return builder.zext(builder.bitcast(ones, _BITS), ir.IntType(64))


def _place(context, builder, array_type, array, at, vector):
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


@intrinsic
def load(typingctx, array, at):
    """Return sixteen numbers of a contiguous array from an index on; there is no check that they are in it."""
    kind = {types.float64: Floats, types.float32: Singles}.get(array.dtype, Ints)

    def codegen(context, builder, signature, args):
        vector = context.get_value_type(kind)
        element = context.get_data_type(array.dtype)
        raw = builder.load(_place(context, builder, array, args[0], args[1], ir.VectorType(element, WIDTH)), align=4)
        return raw if raw.type == vector else builder.sext(raw, vector)

    return kind(array, types.int64), codegen


@intrinsic
def store(typingctx, array, at, lanes):
    """Write sixteen numbers to a contiguous array of their kind."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _place(context, builder, array, args[0], args[1], args[2].type), align=8)
        return context.get_dummy_value()

    return types.none(array, types.int64, lanes), codegen


@intrinsic
def spread(typingctx, value):
    """Return sixteen times the same number."""
    kind = {types.float64: Floats, types.float32: Singles}.get(value, Ints)

    def codegen(context, builder, signature, args):
        return _spread(builder, context.get_value_type(kind), args[0])

    return kind(kind.element), codegen


def _arithmetic(name):
    @intrinsic
    def apply(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, name)(*args)

        return a(a, b), codegen

    return apply


_subtract, _add, _multiply = _arithmetic("fsub"), _arithmetic("fadd"), _arithmetic("fmul")


def _numbers(a, b):
    return a is b and (a is Floats or a is Singles)


@overload(operator.sub)
def _minus(a, b):
    return (lambda a, b: _subtract(a, b)) if _numbers(a, b) else None


@overload(operator.add)
def _plus(a, b):
    return (lambda a, b: _add(a, b)) if _numbers(a, b) else None


@overload(operator.mul)
def _times(a, b):
    return (lambda a, b: _multiply(a, b)) if _numbers(a, b) else None


@intrinsic
def plus_product(typingctx, total, a, b):
    """Return total + a b, rounded once or twice, as is quicker."""

    def codegen(context, builder, signature, args):
        vector = args[0].type
        name = f"llvm.fmuladd.v{WIDTH}f{64 if total is Floats else 32}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        return builder.call(function, [args[1], args[2], args[0]])

    return total(total, a, b), codegen


@intrinsic
def greater(typingctx, a, b):
    """Return the greater of each pair."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, b), codegen


@intrinsic
def up_to(typingctx, a, b):
    """Return the mask of a <= b."""

    def codegen(context, builder, signature, args):
        return _mask(builder, builder.fcmp_ordered("<=", *args))

    return types.int64(a, b), codegen


@intrinsic
def lowest(typingctx, mask):
    """Return the number of the lowest bit of a mask that is not 0."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], cgutils.true_bit)

    return types.int64(types.int64), codegen


@intrinsic
def bits(typingctx, mask):
    """Return how many bits of a mask are set."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@intrinsic
def insert(typingctx, values, numbers, value, number):
    """Put a pair into sixteen that rise by value and then by number; the last falls out, which may be the new one."""

    def codegen(context, builder, signature, args):
        v, w, x, y = args
        xs, ys = _spread(builder, v.type, x), _spread(builder, w.type, y)
        equal = builder.and_(builder.fcmp_ordered("==", v, xs), builder.icmp_signed(">", w, ys))
        after = builder.or_(builder.fcmp_ordered(">", v, xs), equal)
        places = ir.VectorType(_INDEX, WIDTH)
        back = ir.Constant(places, [2 * WIDTH - 1, *range(WIDTH - 1)])
        never = ir.Constant(after.type, [0] * WIDTH)
        was_after = builder.shuffle_vector(after, never, back)
        moved_v = builder.select(was_after, builder.shuffle_vector(v, xs, back), xs)
        moved_w = builder.select(was_after, builder.shuffle_vector(w, ys, back), ys)
        return context.make_tuple(
            builder, signature.return_type, [builder.select(after, moved_v, v), builder.select(after, moved_w, w)]
        )

    return types.Tuple((Floats, Ints))(Floats, Ints, types.float64, types.int64), codegen


@intrinsic
def near_pairs(typingctx, columns, minus, d, halves, limits, x, q, masks):
    """Return whether any of 16 x 16 points are near: (|q|^2 + |x|^2) / 2 - q.x <= max(limit_q, limit_x), in float32.

    columns: of d sixteens from d x on those of the x. minus: the same of the q, with the other sign. halves, limits:
    of the x from x on, of the q from q on. masks[i] becomes the mask of the x that are near q_i.
    """

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(ir.FloatType(), WIDTH)
        kinds = signature.args

        def lanes(i, at):
            return builder.load(_place(context, builder, kinds[i], args[i], at, vector), align=4)

        def one(i, at):
            data = context.make_array(kinds[i])(context, builder, value=args[i]).data
            return _spread(builder, vector, builder.load(builder.gep(data, [at])))

        def plus(at, i):
            return builder.add(at, at.type(i))

        d, x, q, masks = args[2], args[5], args[6], args[7]
        name = f"llvm.fmuladd.v{WIDTH}f32"
        multiply_add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        begin, half, limit = builder.mul(d, x), lanes(3, x), lanes(4, x)
        anyone = ir.Constant(ir.VectorType(ir.IntType(1), WIDTH), [0] * WIDTH)
        for first in range(0, WIDTH, SUMS):
            sums = [cgutils.alloca_once(builder, vector) for _ in range(SUMS)]
            for i, total in enumerate(sums):
                builder.store(builder.fadd(half, one(3, plus(q, first + i))), total)
            with cgutils.for_range(builder, d) as loop:
                at = builder.mul(loop.index, d.type(WIDTH))
                xs = lanes(0, builder.add(begin, at))
                for i, total in enumerate(sums):
                    factors = [xs, one(1, plus(at, first + i)), builder.load(total)]
                    builder.store(builder.call(multiply_add, factors), total)
            for i, total in enumerate(sums):
                other = one(4, plus(q, first + i))
                most = builder.select(builder.fcmp_ordered(">", limit, other), limit, other)
                near = builder.fcmp_ordered("<=", builder.load(total), most)
                data = context.make_array(kinds[7])(context, builder, value=masks).data
                builder.store(_mask(builder, near), builder.gep(data, [d.type(first + i)]))
                anyone = builder.or_(anyone, near)
        return _mask(builder, anyone)

    i8 = types.int64
    return i8(columns, minus, i8, halves, limits, i8, i8, masks), codegen
