// Reads line images with OpenVINO and libpng alone: the file contract (docs/embedding.md) in one file.
//
//     read_line MODEL LINE.png …
//
// MODEL is an .xml, its .bin beside it, or an .onnx. Images are PNG of any kind: grey, colours or palette, 1 to 16 bits,
// with alpha, turned by EXIF. A program that has its pixels already begins at scale(). To build it: CMakeLists.txt.

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <numeric>
#include <openvino/openvino.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::vector<uint8_t>;

struct Grey {  // 8 bits, 0 = black, row by row
    int width, height;
    Bytes pixels;
};

struct Decoded {
    int width = 0, height = 0, channels = 0;  // grey, grey + alpha, RGB, RGBA
    bool deep = false;                        // grey of 16 bits, the high byte first
    int orientation = 1;
    Bytes pixels;
    std::vector<png_bytep> rows;
};

// The orientation that EXIF has, 1 to 8; 1 where it has none.
int orientation(const uint8_t* exif, size_t size) {
    const bool little = size > 0 && exif[0] == 'I';
    auto number = [&](uint64_t at, int bytes) {  // 0 beyond the end
        uint64_t value = 0;
        for (int i = 0; i < bytes && at + bytes <= size; i++)
            value |= uint64_t(exif[at + i]) << 8 * (little ? i : bytes - 1 - i);
        return value;
    };
    const uint64_t table = number(4, 4), count = number(table, 2);
    for (uint64_t i = 0, entry = table + 2; i < count; i++, entry += 12) {
        const uint64_t value = number(entry + 8, 2);
        if (number(entry, 2) == 0x0112) return value >= 1 && value <= 8 ? int(value) : 1;
    }
    return 1;
}

// What libpng does; false where it gives up, by jumping here: nothing that has a destructor is made inside.
bool fill(Decoded& image, png_structp png, png_infop info, FILE* file) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_init_io(png, file);
    png_read_info(png, info);
    image.width = int(png_get_image_width(png, info));
    image.height = int(png_get_image_height(png, info));
    if (double(image.width) * image.height > 50e6) return false;
    const bool sixteen = png_get_bit_depth(png, info) == 16;
    image.deep = sixteen && png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY;
    if (!image.deep) png_set_expand(png);               // at least 8 bits; a palette's colours; tRNS as alpha
    if (sixteen && !image.deep) png_set_strip_16(png);  // v / 256
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    image.channels = png_get_channels(png, info);
    const size_t stride = png_get_rowbytes(png, info);
    image.pixels.resize(stride * image.height);
    for (int y = 0; y < image.height; y++) image.rows.push_back(&image.pixels[stride * y]);
    png_read_image(png, image.rows.data());
    png_read_end(png, info);
    png_bytep exif;
    png_uint_32 size;
    if (png_get_eXIf_1(png, info, &size, &exif)) image.orientation = orientation(exif, size);
    return true;
}

Decoded read_png(const char* path) {
    std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "rb"), std::fclose);
    if (!file) throw std::runtime_error("cannot be opened; check the path");
    auto quiet = [](png_structp, png_const_charp) {};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, quiet);
    png_infop info = png_create_info_struct(png);
    Decoded image;
    const bool done = fill(image, png, info, file.get());
    png_destroy_read_struct(&png, &info, nullptr);
    if (!done) throw std::runtime_error("no whole PNG of at most 50 million pixels; save it again");
    return image;
}

// Steps 2 to 4 of the contract: eight bits, white paper under alpha, grey by ITU-R BT.601.
Grey to_grey(const Decoded& image) {
    Grey grey{image.width, image.height, Bytes(size_t(image.width) * image.height)};
    const uint8_t* p = image.pixels.data();
    const size_t count = grey.pixels.size();
    if (image.deep) {
        auto value = [p](size_t i) { return p[2 * i] << 8 | p[2 * i + 1]; };
        int most = 0;  // where they hold 8 bits, these
        for (size_t i = 0; i < count; i++) most = std::max(most, value(i));
        for (size_t i = 0; i < count; i++) grey.pixels[i] = uint8_t(value(i) / (most > 255 ? 257 : 1));
        return grey;
    }
    const bool colours = image.channels >= 3, alpha = image.channels % 2 == 0;
    for (size_t i = 0; i < count; i++, p += image.channels) {
        const int a = alpha ? p[image.channels - 1] : 255;
        auto on_white = [a](int c) { return (c * a + 255 * (255 - a) + 127) / 255; };
        const int r = on_white(p[0]), g = on_white(p[colours ? 1 : 0]), b = on_white(p[colours ? 2 : 0]);
        grey.pixels[i] = uint8_t((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
    }
    return grey;
}

// Turned as an EXIF orientation says.
Grey upright(const Grey& image, int orientation) {
    const bool on_side = orientation > 4;
    const bool from_right = orientation == 2 || orientation == 3 || orientation >= 7;
    const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Grey turned{on_side ? image.height : image.width, on_side ? image.width : image.height, {}};
    for (int y = 0; y < turned.height; y++)
        for (int x = 0; x < turned.width; x++) {
            const int column = on_side ? y : x, row = on_side ? x : y;
            turned.pixels.push_back(image.pixels[size_t(from_below ? image.height - 1 - row : row) * image.width +
                                                 (from_right ? image.width - 1 - column : column)]);
        }
    return turned;
}

// The mean of each block of `across` columns and `down` rows; those at the edges are cut off.
Grey reduce(const Grey& image, int across, int down) {
    Grey reduced{(image.width + across - 1) / across, (image.height + down - 1) / down, {}};
    for (int top = 0; top < image.height; top += down)
        for (int left = 0; left < image.width; left += across) {
            uint64_t sum = 0, count = 0;
            for (int y = top; y < std::min(top + down, image.height); y++)
                for (int x = left; x < std::min(left + across, image.width); x++, count++)
                    sum += image.pixels[size_t(y) * image.width + x];
            reduced.pixels.push_back(uint8_t((sum + count / 2) * ((1 << 24) / count) >> 24));
        }
    return reduced;
}

// `length` columns (the width, or a little less) become `count`; what comes back is turned: its rows are these columns.
Grey filter(const Grey& image, float length, int count) {
    Grey turned{image.height, count, {}};
    const double step = double(length) / count, reach = std::max(step, 1.0);
    for (int i = 0; i < count; i++) {
        const double centre = (i + 0.5) * step;
        const int first = std::max(0, int(centre - reach + 0.5));
        const int end = std::min(image.width, int(centre + reach + 0.5));
        std::vector<double> triangle;
        for (int j = first; j < end; j++) triangle.push_back(std::max(0.0, 1 - std::abs((j + 0.5 - centre) / reach)));
        const double sum = std::accumulate(triangle.begin(), triangle.end(), 0.0);
        std::vector<int> weights;
        for (double t : triangle) weights.push_back(int(t / sum * (1 << 22) + 0.5));
        for (int y = 0; y < image.height; y++) {
            const uint8_t* old = &image.pixels[size_t(y) * image.width + first];
            int total = 1 << 21;  // at most 2^30 or so: the weights' sum is 2^22
            for (size_t j = 0; j < weights.size(); j++) total += weights[j] * old[j];
            turned.pixels.push_back(uint8_t(std::min(total >> 22, 255)));
        }
    }
    return turned;
}

int scaled_width(const Grey& image, int rows) {
    return std::max(1, int(std::nearbyint(double(image.width) * rows / image.height)));  // halves to the even one
}

Grey scale(const Grey& image, int rows) {
    const int columns = scaled_width(image, rows);
    if (columns == image.width && rows == image.height) return image;
    const int across = std::max(1, int(double(image.width) / columns / 2));
    const int down = std::max(1, int(double(image.height) / rows / 2));
    const Grey wide = filter(reduce(image, across, down), float(double(image.width) / across), columns);
    return filter(wide, float(double(image.height) / down), rows);
}

// Columns of the paper's grey at the right, up to the next multiple and no further.
Grey pad(const Grey& line, int multiple) {
    Bytes sorted = line.pixels;
    std::sort(sorted.begin(), sorted.end());
    const double place = 0.8 * (sorted.size() - 1);
    const size_t below = size_t(place);
    const int low = sorted[below], high = sorted[std::min(below + 1, sorted.size() - 1)];
    const double share = place - below;
    const double paper = share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
    const int width = (line.width + multiple - 1) / multiple * multiple;
    Grey padded{width, line.height, Bytes(size_t(width) * line.height, uint8_t(paper))};
    for (int y = 0; y < line.height; y++)
        std::copy_n(&line.pixels[size_t(y) * line.width], line.width, &padded.pixels[size_t(y) * width]);
    return padded;
}

// A JSON list of strings; in a charset nothing but quotes and backslashes is escaped.
std::vector<std::string> strings(const std::string& json) {
    std::vector<std::string> found;
    bool inside = false;
    for (size_t i = 0; i < json.size(); i++) {
        if (json[i] != '"') {
            if (inside) found.back() += json[i] == '\\' ? json[++i] : json[i];
        } else if ((inside = !inside)) {
            found.emplace_back();
        }
    }
    return found;
}

// The text of logits [T, V]: the best class of each frame, equal neighbours merged, blanks dropped.
std::string decode(const float* logits, size_t frames, const std::vector<std::string>& charset, size_t blank) {
    std::string text;
    for (size_t t = 0, before = blank; t < frames; t++, logits += charset.size()) {
        const size_t best = std::max_element(logits, logits + charset.size()) - logits;
        if (best != blank && best != before) text += charset[best];
        before = best;
    }
    return text;
}

int main(int count, char** words) {
    if (count < 3) return std::cerr << "read_line MODEL LINE.png …\n", 2;
    const char* name = words[1];  // what an error is about
    try {
        ov::Core core;
        const auto model = core.read_model(words[1]);
        const std::string section = model->has_rt_info("htrjand") ? "htrjand" : "framework";  // .xml, .onnx
        auto about = [&](const char* key) { return model->get_rt_info<std::string>(section, key); };
        if (!model->has_rt_info(section, "format") || about("format") != "htrjand/1")
            throw std::runtime_error("no line reader of format htrjand/1");
        const auto charset = strings(about("charset"));
        auto number = [&](const char* key) { return std::stoi(about(key)); };
        const int rows = number("height"), multiple = number("width_multiple"), blank = number("blank");
        const int widest = number("max_width") / multiple * multiple;
        ov::AnyMap settings{ov::hint::inference_precision(ov::element::f32)};  // never bf16: texts change
#ifdef __aarch64__
        settings["LP_TRANSFORMS_MODE"] = false;  // its int8 dense layers are wrong there
#endif
        auto request = core.compile_model(model, "CPU", settings).create_infer_request();
        for (int i = 2; i < count; i++) {
            name = words[i];
            const Decoded image = read_png(name);
            const Grey turned = upright(to_grey(image), image.orientation);
            if (scaled_width(turned, rows) > widest) throw std::runtime_error("too wide for one line");
            Grey line = pad(scale(turned, rows), multiple);
            const ov::Shape shape{1, 1, size_t(line.height), size_t(line.width)};
            request.set_tensor("image", ov::Tensor(ov::element::u8, shape, line.pixels.data()));
            request.infer();
            const ov::Tensor logits = request.get_tensor("logits");  // float32 [1, T, V]
            if (logits.get_shape()[2] != charset.size()) throw std::runtime_error("the model's charset does not fit");
            std::cout << decode(logits.data<float>(), logits.get_shape()[1], charset, blank) << "\n";
        }
    } catch (const std::exception& error) {
        return std::cerr << name << ": " << error.what() << "\n", 1;
    }
}
