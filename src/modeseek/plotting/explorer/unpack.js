// Arrays out of the text that packing.py made of them: base64, inflated by the browser, bytes of equal rank apart again.
const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float64: Float64Array };

async function unpack({ type, length, data }) {
  const text = atob(data), deflated = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) deflated[i] = text.charCodeAt(i);
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = ARRAYS[type].BYTES_PER_ELEMENT;
  if (size === 1) return planes;
  const bytes = new Uint8Array(length * size);
  for (let rank = 0; rank < size; rank++)
    for (let i = 0, from = rank * length; i < length; i++) bytes[i * size + rank] = planes[from + i];
  return new ARRAYS[type](bytes.buffer); // little-endian, as every browser's machine
}
