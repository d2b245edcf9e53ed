package dev.moorline

import java.lang.management.ManagementFactory
import javax.management.ObjectName

/** How many objects of each class can be reached: the virtual machine collects the garbage, then counts. */
class Objects private constructor(private val counts: Map<String, Int>) {
    /** The classes that have so many objects more than they had, with how many more. */
    fun growth(before: Objects, least: Int): Map<String, Int> =
        counts.mapValues { (name, count) -> count - (before.counts[name] ?: 0) }.filterValues { it >= least }

    companion object {
        private val LINE = Regex("""\s*\d+:\s+(\d+)\s+\d+\s+(\S+).*""")

        /** Counts. Stops the world: some 100 ms. */
        fun inUse(): Objects {
            val command = ObjectName("com.sun.management:type=DiagnosticCommand")
            val signature = arrayOf(Array<String>::class.java.name)
            val histogram = ManagementFactory.getPlatformMBeanServer().invoke(command, "gcClassHistogram", arrayOf(emptyArray<String>()), signature)
            val lines = (histogram as String).lineSequence().mapNotNull(LINE::matchEntire)
            return Objects(lines.groupBy({ it.groupValues[2] }, { it.groupValues[1].toInt() }).mapValues { it.value.sum() })
        }
    }
}
