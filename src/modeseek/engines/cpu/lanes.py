"""Sixteen numbers at once, in registers: what compiled loops of sixteen rounds are written in where that must be sure.

`Floats` are sixteen float64, `Singles` sixteen float32, `Ints` sixteen int64, a mask is an int64 with a bit for each.
Every operation rounds as its scalar does, and the compiler maps it to what registers the processor has.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 16


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
