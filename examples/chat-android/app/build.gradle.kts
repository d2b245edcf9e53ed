// Not built by this repository's tests: they have no Android SDK. See README.md for what they check instead.
plugins {
    id("com.android.application") version "8.13.0"
    kotlin("android") version "2.4.21"
    kotlin("plugin.compose") version "2.4.21"
}

android {
    namespace = "dev.moorline.chat"
    compileSdk = 36
    defaultConfig {
        applicationId = "dev.moorline.chat"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
    }
    buildFeatures.compose = true
    sourceSets["main"].kotlin.srcDirs("src/main/kotlin", "src/android/kotlin")
}

kotlin.jvmToolchain(17)

dependencies {
    implementation("dev.moorline:moorline-android:0.1.0@aar")
    implementation("dev.moorline:moorline:0.1.0") { exclude(module = "moorline-native") }
    runtimeOnly("dev.moorline:moorline-ffi:0.1.0") { exclude(group = "net.java.dev.jna") }
    implementation("net.java.dev.jna:jna:5.19.1@aar")
    implementation(platform("androidx.compose:compose-bom:2025.08.00"))
    implementation("androidx.compose.material3:material3")
    implementation("androidx.activity:activity-compose:1.9.3")
    implementation("androidx.lifecycle:lifecycle-viewmodel-ktx:2.8.7")
}
