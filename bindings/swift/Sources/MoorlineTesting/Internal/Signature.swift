/// HMAC with SHA-256 (RFC 2104): Foundation has none on Linux, and this one signs tokens of tests only.
func authenticated(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    let block = (key.count > 64 ? sha256(key) : key) + Array(repeating: 0, count: max(0, 64 - (key.count > 64 ? 32 : key.count)))
    return sha256(block.map { $0 ^ 0x5c } + sha256(block.map { $0 ^ 0x36 } + message))
}

/// SHA-256 (FIPS 180-4).
func sha256(_ message: [UInt8]) -> [UInt8] {
    var state: [UInt32] = roots(8) { $0.squareRoot() }
    let constants: [UInt32] = roots(64) { cubeRoot($0) }
    var padded = message + [0x80]
    padded += Array(repeating: 0, count: (120 - padded.count % 64) % 64)
    padded += (0..<8).map { UInt8(truncatingIfNeeded: UInt64(message.count * 8) >> (56 - 8 * UInt64($0))) }
    for start in stride(from: 0, to: padded.count, by: 64) {
        var words = (0..<16).map { word in (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(padded[start + word * 4 + $1]) } }
        for at in 16..<64 {
            let (early, late) = (words[at - 15], words[at - 2])
            let first = turned(early, 7) ^ turned(early, 18) ^ early >> 3
            let second = turned(late, 17) ^ turned(late, 19) ^ late >> 10
            words.append(words[at - 16] &+ first &+ words[at - 7] &+ second)
        }
        var now = state
        for at in 0..<64 {
            let high = turned(now[4], 6) ^ turned(now[4], 11) ^ turned(now[4], 25)
            let choice = now[4] & now[5] ^ ~now[4] & now[6]
            let first = now[7] &+ high &+ choice &+ constants[at] &+ words[at]
            let low = turned(now[0], 2) ^ turned(now[0], 13) ^ turned(now[0], 22)
            let second = low &+ (now[0] & now[1] ^ now[0] & now[2] ^ now[1] & now[2])
            now = [first &+ second, now[0], now[1], now[2], now[3] &+ first, now[4], now[5], now[6]]
        }
        state = zip(state, now).map { $0 &+ $1 }
    }
    return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) } }
}

private func turned(_ word: UInt32, _ by: UInt32) -> UInt32 { word >> by | word << (32 - by) }

/// The first 32 bits after the point of a root of each of the first primes.
private func roots(_ count: Int, _ root: (Double) -> Double) -> [UInt32] {
    let primes = (2...311).filter { number in !(2..<number).contains { number % $0 == 0 } }
    return primes.prefix(count).map { prime in
        let value = root(Double(prime))
        return UInt32((value - value.rounded(.down)) * 4_294_967_296)
    }
}

private func cubeRoot(_ value: Double) -> Double {
    // Newton's steps, from above, until nothing changes.
    var root = value
    while true {
        let next = (2 * root + value / (root * root)) / 3
        if next >= root { return root }
        root = next
    }
}
