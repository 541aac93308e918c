//! DEFLATE as RFC 1951 says it, bit by bit: slow, and nobody else's code, so that it can judge the coder.
//!
//! It also tells what no fast one does: how far back the matches go.

/// What was inflated.
#[derive(Debug, Default)]
pub struct Inflated {
    pub bytes: Vec<u8>,
    /// The largest distance of a match.
    pub farthest: usize,
}

struct Bits<'a> {
    input: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = *self.input.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// A canonical code (RFC 1951 §3.2.2): how many codes have each length, and the symbols in their order.
struct Code {
    counts: [u32; 16],
    symbols: Vec<u32>,
}

impl Code {
    fn new(lengths: &[u32]) -> Code {
        let mut counts = [0; 16];
        lengths.iter().for_each(|&length| counts[length as usize] += 1);
        counts[0] = 0;
        let mut symbols: Vec<u32> = (0..lengths.len() as u32).filter(|&symbol| lengths[symbol as usize] > 0).collect();
        symbols.sort_by_key(|&symbol| (lengths[symbol as usize], symbol));
        Code { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Inflates whole messages as RFC 7692 §7.2.2 wants them put together: `None` if it is not DEFLATE, or does not end at the end of a block.
pub fn inflate(input: &[u8]) -> Option<Inflated> {
    let mut bits = Bits { input, at: 0 };
    let mut inflated = Inflated::default();
    while bits.at < input.len() * 8 {
        let _is_last = bits.take(1)?;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut inflated)?,
            1 => {
                let lengths: Vec<u32> = (0..288)
                    .map(|symbol| {
                        if symbol < 144 {
                            8
                        } else if symbol < 256 {
                            9
                        } else if symbol < 280 {
                            7
                        } else {
                            8
                        }
                    })
                    .collect();
                compressed(&mut bits, &mut inflated, &Code::new(&lengths), &Code::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits)?;
                compressed(&mut bits, &mut inflated, &literals, &distances)?;
            }
            _ => return None,
        }
        if _is_last == 1 {
            bits.align();
        }
    }
    Some(inflated)
}

fn stored(bits: &mut Bits<'_>, inflated: &mut Inflated) -> Option<()> {
    bits.align();
    let (length, check) = (bits.take(16)?, bits.take(16)?);
    if length != !check & 0xFFFF {
        return None;
    }
    for _ in 0..length {
        inflated.bytes.push(bits.take(8)? as u8);
    }
    Some(())
}

fn dynamic(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut lengths = [0; 19];
    for place in &ORDER[..codes as usize] {
        lengths[*place] = bits.take(3)?;
    }
    let code = Code::new(&lengths);
    let mut lengths: Vec<u32> = Vec::new();
    while lengths.len() < (literals + distances) as usize {
        let (value, times) = match code.read(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.extend((0..times).map(|_| value));
    }
    Some((Code::new(&lengths[..literals as usize]), Code::new(&lengths[literals as usize..])))
}

fn compressed(bits: &mut Bits<'_>, inflated: &mut Inflated, literals: &Code, distances: &Code) -> Option<()> {
    loop {
        match literals.read(bits)? {
            literal @ 0..256 => inflated.bytes.push(literal as u8),
            256 => return Some(()),
            symbol => {
                let (base, extra) = length_of(symbol - 257)?;
                let length = base + bits.take(extra)?;
                let (base, extra) = distance_of(distances.read(bits)?)?;
                let distance = (base + bits.take(extra)?) as usize;
                inflated.farthest = inflated.farthest.max(distance);
                let start = inflated.bytes.len().checked_sub(distance)?;
                for at in start..start + length as usize {
                    inflated.bytes.push(inflated.bytes[at]);
                }
            }
        }
    }
}

/// RFC 1951 §3.2.5: the smallest length of a symbol, and how many bits more there are.
fn length_of(symbol: u32) -> Option<(u32, u32)> {
    match symbol {
        0..8 => Some((3 + symbol, 0)),
        8..28 => Some((3 + ((4 + symbol % 4) << (symbol / 4 - 1)), symbol / 4 - 1)),
        28 => Some((258, 0)),
        _ => None,
    }
}

fn distance_of(symbol: u32) -> Option<(u32, u32)> {
    match symbol {
        0..4 => Some((1 + symbol, 0)),
        4..30 => Some((1 + ((2 + symbol % 2) << (symbol / 2 - 1)), symbol / 2 - 1)),
        _ => None,
    }
}
